"""Bundles that are made to exhaust memory or the stack end in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gpu_infer.errors import ConfigError
from gpu_infer.imports.bundle.expression import Unknown
from gpu_infer.imports.bundle.files import merged, read_document
from gpu_infer.imports.bundle.resolve import Resolver


def resolver(document: dict[str, Any]) -> Resolver:
    return Resolver(document, "inference.json", {}.__getitem__)


def nested(depth: int) -> list[Any]:
    node: list[Any] = []
    for _ in range(depth):
        node = [node]
    return node


@pytest.mark.parametrize(
    "document",
    [
        {"a": "@a::b"},
        {"a": "@b::x", "b": "@a::y"},
        {"a": nested(990)},
        {f"{'a' if n == 0 else f'a{n}'}": f"@a{n + 1}" for n in range(2000)} | {"a2000": 1},
    ],
    ids=["inside itself", "inside each other", "deep", "long chain"],
)
def test_endless_references_are_refused(document: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"nested too deeply, or references in a circle") as caught:
        resolver(document).value("a")
    assert "\n" not in str(caught.value)


def test_lists_of_references_to_lists_are_refused() -> None:
    document = {"a0": [1]} | {f"a{n}": [f"@a{n - 1}"] * 10 for n in range(1, 12)}
    with pytest.raises(ConfigError, match=r"a11 has more than 500000 values \(correct the bundle\)"):
        resolver(document).value("a11")


@pytest.mark.parametrize(
    ("first", "operator"), [("x" * 10, "+"), (10**15, "*"), ([1, 2], "+")], ids=["text", "number", "list"]
)
def test_values_that_double_again_and_again_are_no_constants(first: Any, operator: str) -> None:
    document = {"a0": first} | {f"a{n}": f"$@a{n - 1} {operator} @a{n - 1}" for n in range(1, 15)}
    assert isinstance(resolver(document).value("a14"), Unknown)


@pytest.mark.parametrize(
    "text",
    ["a: &a [*a]", "a: &a [1, 1]\n" + "".join(f"{n}: &{n} [{f'*{n - 1 or chr(97)}, ' * 10}]\n" for n in range(1, 12))],
    ids=["circle", "growing"],
)
def test_yaml_aliases_that_grow_are_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"a.yaml: cannot be parsed: aliases make more than 500000 values"):
        read_document(path)


def test_yaml_aliases_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a: &a [1, 2]\nb: [*a, *a]\n", encoding="utf-8")
    assert read_document(path) == {"a": [1, 2], "b": [[1, 2], [1, 2]]}


def test_keys_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("1: 2\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"a.yaml: 1: expected a text as key"):
        merged([path])
