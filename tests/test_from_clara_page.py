"""docs/from-clara.md lists every transform, inferer argument, variable and file, as the code has them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from gpu_infer.config.inferer import InfererArguments
from gpu_infer.inferers.modes import window_mode
from gpu_infer.planning.window_choice import SLOTS
from gpu_infer.settings import Settings
from gpu_infer.system.resources import resource_folder
from gpu_infer.transforms.registry import TRANSFORMS
from gpu_infer.writers.label_maps import label_map_places
from gpu_infer.writers.page.places import page_places
from gpu_infer.writers.places import publish_places

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "from-clara.md").read_text(encoding="utf-8")
ENVIRONMENT = (ROOT / "docs" / "environment.md").read_text(encoding="utf-8")

OWN_DEFAULTS = {
    "interpolation": '`"nearest"` for labels, else `"linear"`',
    "placement": "none",
    "anti_aliasing_sigma": "from the sizes",
    "subtrahend": "mean",
    "divisor": "deviation",
    "label_field": "the first of `fields`",
    "applied_labels": "all",
    "channel_indices": "all",
    "files": "none",
    "foreground": "none",
    "nan": "none",
}
"""Defaults of transforms that are no value of their `Args`."""


def _rows(page: str, heading: str) -> list[list[str]]:
    """Cells of the rows of the table below a heading."""
    section = re.split(rf"^## {heading}$", page, flags=re.MULTILINE)[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def _shown(name: str, field: FieldInfo) -> str:
    """An argument with its default in brackets."""
    if field.is_required():
        return f"`{name}`"
    value = field.default
    if name in OWN_DEFAULTS:
        return f"`{name}` ({OWN_DEFAULTS[name]})"
    if value is None:
        return f"`{name}` (none)"
    if isinstance(value, bool):
        return f"`{name}` ({str(value).lower()})"
    if isinstance(value, tuple):
        return f"`{name}` ({', '.join(dict.fromkeys(f'{v:g}' if isinstance(v, (int, float)) else v for v in value))})"
    return f"`{name}` ({f'{value:g}' if isinstance(value, float) else value})"


def _arguments(model: type[BaseModel]) -> str:
    return ", ".join(_shown(name, field) for name, field in model.model_fields.items())


def test_transforms_and_their_arguments_are_those_of_the_registry() -> None:
    rows = _rows(PAGE, "Transforms")
    assert [cells[:2] for cells in rows] == [[f"`{name}`", _arguments(cls.Args)] for name, cls in TRANSFORMS.items()]
    assert all(cells[2] for cells in rows)


def test_no_default_in_words_hides_a_value() -> None:
    for cls in TRANSFORMS.values():
        for name, field in cls.Args.model_fields.items():
            if name in OWN_DEFAULTS and not field.is_required():
                assert field.default in (None, ()), (cls.name, name)


def test_an_added_argument_exists() -> None:
    """What the last column calls added is an argument of the transform of its row."""
    for name, arguments, reading in _rows(PAGE, "Transforms"):
        added = re.search(r"added: ((?:`\w+`(?:, | and )?)+)", reading)
        for argument in re.findall(r"`(\w+)`", added[1]) if added else ():
            assert f"`{argument}`" in arguments, (name, argument)


def test_arguments_of_the_inferer_are_all_there() -> None:
    rows = _rows(PAGE, "Inferer")
    expected = {name: field.default for name, field in InfererArguments.model_fields.items()}
    assert [cells[0].strip("`") for cells in rows] == list(expected)
    for name, default, reading in rows:
        value = expected[name.strip("`")]
        assert reading
        if value is not None:
            assert default == f"`{value}`", name
        else:
            assert not default.startswith("`"), name


def test_defaults_of_windows_are_those_of_the_modes() -> None:
    default = {cells[0].strip("`"): cells[1] for cells in _rows(PAGE, "Inferer")}
    monai, nnunet = (window_mode(mode, {}) for mode in ("monai", "nnunet"))
    assert (float(default["overlap"]),) * 3 == monai.overlap
    assert float(default["step_size"]) == nnunet.step_size
    assert default["blend"] == f"{monai.blend}; {nnunet.blend} in mode `nnunet`"
    assert (float(default["sigma_scale"]),) * 3 == monai.sigma_scale == nnunet.sigma_scale
    assert (default["mirror_axes"], nnunet.mirror_axes) == ("none", ())
    assert default["padding_mode"] == monai.padding_mode
    assert float(default["cval"]) == monai.cval
    assert int(default["slots"]) == SLOTS


def test_variables_are_those_of_the_operator() -> None:
    section = ENVIRONMENT.split("## The operator")[1].split("\n## ")[0]
    expected = re.findall(r"^\| `([A-Z_]+)` \|", section, re.MULTILINE)
    assert len(expected) == 13
    assert [cells[0].strip("`") for cells in _rows(PAGE, "Environment variables")] == expected


@pytest.mark.parametrize("cells", _rows(PAGE, "Environment variables"), ids=lambda cells: cells[0].strip("`"))
def test_a_variable_has_an_effect_unless_the_page_denies_it(cells: list[str]) -> None:
    values = {
        "NVIDIA_CLARA_TRTISURI": "triton:9000",
        "CLARA_TRITON_URI": "triton:9000",
        "NVIDIA_TRITON_HTTPURI": "triton:9000",
        "NVIDIA_TRITON_GRPCURI": "triton:9000",
        "NVIDIA_CLARA_NOSYNCLOCK": "TRUE",
        "DEBUG_VSCODE": "TRUE",
        "DEBUG_VSCODE_PORT": "9000",
        "DEBUG_VSCODE_HOST": "0.0.0.0",
    }
    name = cells[0].strip("`")
    before = {"DEBUG_VSCODE": "TRUE"} if name.startswith("DEBUG_VSCODE_") else {}
    after = before | {name: values.get(name, "/somewhere/else.json")}
    changed = Settings.from_environment(after) != Settings.from_environment(before)
    assert changed is ("no effect" not in cells[2])


def test_files_are_those_that_a_run_writes_and_reads() -> None:
    written = [
        *(("output", place.path.name) for place in label_map_places(Path("output"), "NAME", {"model": ["mhd"]})),
        *(
            ("publish", place.path.name)
            for place in [
                *publish_places(Path("publish"), "NAME", ["NAME"], [Path("NAME.nii.gz")], Path("r.json")),
                *page_places(Path("publish")),
            ]
        ),
    ]
    read = [("configuration", path.name) for path in resource_folder("config").glob("*.json")]
    read.append(("configuration", "labels.json"))  # the packaged configuration has its labels inside
    logs = [("logs", "gpu_infer.log"), ("logs", "report.json")]
    rows = [(folder, file.strip("`")) for file, folder, _ in _rows(PAGE, "Files")]
    expected = {(folder, name.replace("NAME", "<name>")) for folder, name in [*written, *read, *logs]}
    assert len(rows) == len(set(rows))
    assert set(rows) == expected
