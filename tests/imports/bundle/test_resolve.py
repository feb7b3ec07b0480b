"""References and constant expressions of a bundle's configuration."""

from __future__ import annotations

from typing import Any

import pytest

from gpu_infer.errors import ConfigError
from gpu_infer.imports.bundle.expression import Unknown, contains_unknown, evaluate
from gpu_infer.imports.bundle.resolve import Resolver

DOCUMENT: dict[str, Any] = {
    "high": {"on": True, "overlap": 0.25},
    "pixdim": "$[1.5, 1.5, 1.5] if @high#on else [3.0, 3.0, 3.0]",
    "key": "image",
    "steps": [{"_target_": "Spacingd", "keys": "@key", "pixdim": "@pixdim", "first": "@##0#keys"}],
    "more": [{"_target_": "EnsureTyped", "dtype": "$torch.float32"}],
    "chain": {"transforms": "$@steps + @more"},
    "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
    "dims": "$len(@pixdim)",
    "again": "@steps",
    "mail": "a@b",
    "copied": {
        "steps": "%steps",
        "near": "%#text",
        "text": "@pixdim",
        "far": "%##key",
        "other": "%other.json#b#0",
        "whole": "%other.json",
    },
}
OTHER = {"b": ["$2 * 3", "@key"]}


def resolver(document: dict[str, Any], file: str = "inference.json") -> Resolver:
    return Resolver(document, file, {"other.json": OTHER}.__getitem__)


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ("high#overlap", 0.25),
        ("pixdim", [1.5, 1.5, 1.5]),
        ("pixdim::0", None),
        ("steps::0::keys", "image"),
        ("steps::0::first", "image"),
        ("more#0#dtype", "float32"),
        ("dims", 3),
        ("again::0::pixdim", [1.5, 1.5, 1.5]),
        ("mail", "a@b"),
        ("copied::steps::0::keys", "image"),
        ("copied::near", [1.5, 1.5, 1.5]),
        ("copied::far", "image"),
        ("copied::other", 6),
        ("copied::whole", {"b": [6, "image"]}),
    ],
)
def test_items_have_the_values_that_they_refer_to(item: str, expected: object) -> None:
    if expected is None:  # an expression has no items of its own
        with pytest.raises(ConfigError, match=r"there is no pixdim::0"):
            resolver(DOCUMENT).value(item)
        return
    assert resolver(DOCUMENT).value(item) == expected


def test_code_is_not_run_but_named() -> None:
    value = resolver(DOCUMENT).value("device")
    assert value == Unknown("$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')")
    assert contains_unknown({"a": [value]})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3 - 4 / 2", 5.0),
        ("-7 // 2", -4),
        ("'a' + '/b'", "/".join("ab")),
        ("[1] + [2]", [1, 2]),
        ("(1, 2)[1]", 2),
        ("{'a': 1}['a']", 1),
        ("not (1 < 2) or 3", 3),
        ("0 and x", 0),
        ("monai.utils.CommonKeys.PRED", "pred"),
        ("None", None),
    ],
)
def test_constants_are_computed(text: str, expected: object) -> None:
    assert evaluate(text, {}) == expected


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "[0] * 10 ** 9",
        "'%1000000000d' % 1",
        "lambda x: x",
        "[i for i in (1, 2)]",
        "x",
        "1 / 0",
        "open('a').read()",
        "'a'.upper()",
        "1 +",
        "torch.load",
    ],
)
def test_everything_else_is_unknown(text: str) -> None:
    assert evaluate(text, {}) == Unknown(text)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"a": "@b", "b": "@a"}, r"bundle.json: a → b → a: references in a circle"),
        ({"a": "@c"}, r"bundle.json: there is no c"),
        ({"a": "%b::c", "b": {}}, r"bundle.json: a: %b::c: there is no such item \(correct the bundle\)"),
        ({"a": "%other.json::z"}, r"bundle.json: a: %other.json::z: there is no such item"),
        ({"a": "%b", "b": ["%c"], "c": 1}, r"bundle.json: a: %b: it contains another macro"),
    ],
)
def test_what_cannot_be_resolved_is_an_error_of_one_line(document: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolver(document, "bundle.json").value("a")
