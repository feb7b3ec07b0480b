"""Configurations that nobody means: each is one line that names file and key, and ends with 2."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from config_files import component, load, lung, pre

from gpu_infer.config.load import load_config
from gpu_infer.errors import ConfigError


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def refusal(folder: Path, document: Any, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load(folder, document, environ)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ('{"batch_size": ' + "9" * 5000 + "}", "a number has 5000 digits, expected at most 100"),
        ('{"batch_size": -' + "9" * 400 + "}", "a number has 401 digits"),
        ('{"batch_size": 0.' + "3" * 5000 + "}", "a number has 5002 characters"),
        ('{"batch_size": 1e400}', "1e400 is beyond what a number can hold"),
        ('{"a": ' + "[" * 300 + "]" * 300 + "}", "is nested too deeply, expected at most 32 levels"),
        ('{"a": ' + "[" * 200_000 + "]" * 200_000 + "}", "is nested too deeply"),
        ('{"a": ' * 2000 + "1" + "}" * 2000, "is nested too deeply"),
        (
            lung(pre_transforms=pre({"ref": []})),
            "pre_transforms[1].ref: expected the alias of an earlier component, found []",
        ),
        (lung(pre_transforms=pre({"ref": {"a": 1}})), "pre_transforms[1].ref: expected the alias"),
        (lung(pre_transforms=pre({"name": ["LoadNifti"]})), "pre_transforms[1].name: expected a non-empty string"),
        (
            lung(pre_transforms=pre(component("ScaleToShape", fields="image", target_shape=[10**60] * 3))),
            "expected 3 positive",
        ),
        (
            lung(pre_transforms=pre(component("SymmetricPadderDiv", fields="image", div_int=10**90))),
            "expected a whole number",
        ),
        (
            lung(pre_transforms=pre(component("SymmetricPadderDiv", fields="image", div_int="--5"))),
            "expected a whole number",
        ),
        (lung(inferer=component("TRTISScanWindowInferer", model_name="m", port="\u0661" * 4)), "port: expected a port"),
        (lung(inferer=component("TRTISScanWindowInferer", model_name="m", model_version="9" * 5000)), "model_version"),
        (lung(inferer=component("TRTISScanWindowInferer", model_name="m", batch_size="9" * 5000)), "batch_size"),
        (lung(inferer=component("TRTISScanWindowInferer", model_name="m", slots=257)), "slots: expected at most 256"),
    ],
)
def test_numbers_depth_and_lists_in_the_place_of_names(tmp_path: Path, document: Any, words: str) -> None:
    assert words in refusal(tmp_path, document)


def test_a_fifo_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config_inference.json")
    with pytest.raises(ConfigError, match="cannot be read: it is no regular file"):
        load_config(tmp_path / "config_inference.json", {})


@pytest.mark.parametrize("path", ["/dev/zero", "/" + "a" * 300, "a\0b"])
def test_what_is_no_regular_file_is_refused(path: str) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(Path(path), {})


@pytest.mark.parametrize(
    "code", ["sys.exit(0)", "sys.exit('bye')", "raise BaseException('odd')", "raise GeneratorExit"]
)
def test_a_module_that_ends_the_program_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    (tmp_path / "ends.py").write_text(f"import sys\n{code}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "ends", raising=False)
    document = lung(pre_transforms=pre({"path": "ends.Class"}))
    assert 'pre_transforms[1].path: cannot import "ends": ' in refusal(tmp_path, document)


def test_a_constructor_that_ends_the_program_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ends_later.py").write_text(
        "import sys\n"
        "from gpu_infer.backends.tables import ClampedAffine\n"
        "from gpu_infer.transforms.base import Pointwise\n"
        "class Ends(Pointwise):\n"
        "    name = 'Ends'\n"
        "    def __init__(self, **arguments):\n"
        "        sys.exit(0)\n"
        "    def function(self, field):\n"
        "        return ClampedAffine()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    document = lung(pre_transforms=pre({"path": "ends_later.Ends", "args": {"fields": "image"}}))
    assert "Ends cannot be made: SystemExit: 0" in refusal(tmp_path, document)


SECRET = "tok-4f9a"

ARGUMENTS: list[dict[str, Any]] = [
    {"target_resolution": "{TOKEN}"},
    {"target_resolution": [1, 1, "{TOKEN}"]},
    {"target_resolution": [1, 1, 1], "interpolation": "{TOKEN}"},
    {"target_resolution": [1, 1, 1], "is_label": "x{TOKEN}y"},
    {"target_resolution": [1, 1, 1], "fields": "{TOKEN}"},
    {"target_resolution": [1, 1, 1], "fields": ["image", "{TOKEN}"]},
    {"target_resolution": [1, 1, 1], "unknown": "{TOKEN}"},
]


@pytest.mark.parametrize("value", [SECRET, "a1", 'quo"te\\d', "two words  wide", "t" * 200, "ü-umlaut"])
@pytest.mark.parametrize("arguments", ARGUMENTS)
def test_values_of_variables_are_in_no_error(tmp_path: Path, arguments: dict[str, Any], value: str) -> None:
    document = lung(pre_transforms=pre(component("ScaleByResolution", **{"fields": "image", **arguments})))
    message = refusal(tmp_path, document, {"TOKEN": value})
    if len(value) >= 4:
        for form in (value, json.dumps(value)[1:-1], value[:60]):
            assert form not in message, message
    if "unknown" not in arguments and len(value) >= 4:
        assert "{TOKEN}" in message


@pytest.mark.parametrize(
    "where", ["path", "writer field", "writer dtype", "inferer", "roi_size", "port", "protocol", "mode"]
)
def test_values_of_variables_are_in_no_error_elsewhere(tmp_path: Path, where: str) -> None:
    value = "secretpkg.hidden.Class"
    document = lung()
    if where == "path":
        document["pre_transforms"].append({"path": "{TOKEN}"})
    elif where.startswith("writer"):
        document["writers"] = [{"name": "WriteNifti", "args": {where.split()[1]: "{TOKEN}"}}]
    elif where == "inferer":
        document["inferer"] = {"path": "{TOKEN}"}
    else:
        document["inferer"]["args"][where] = "{TOKEN}"
    message = refusal(tmp_path, document, {"TOKEN": value})
    assert "secretpkg" not in message
    assert "hidden" not in message
    assert "{TOKEN}" in message
