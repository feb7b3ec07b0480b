"""Names of labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gpu_infer.config.labels import read_labels
from gpu_infer.errors import ConfigError
from gpu_infer.label_table.palette import PALETTE
from gpu_infer.label_table.table import Code, Label, LabelTable

LUNG = {"value": "39607008", "scheme": "SCT", "meaning": "Lung"}


def _read(folder: Path, content: Any) -> LabelTable:
    (folder / "labels.json").write_text(json.dumps(content))
    return read_labels(folder / "config_inference.json", {})


def _names(table: LabelTable) -> dict[int, str]:
    return {value: label.name for value, label in table.described.items()}


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ({"0": "background", "1": "lung"}, {0: "background", 1: "lung"}),
        ({"background": 0, "lung": 1, "liver": 5}, {0: "background", 1: "lung", 5: "liver"}),
        (["background", "lung", "liver"], {0: "background", 1: "lung", 2: "liver"}),
        (["lung", "liver"], {1: "lung", 2: "liver"}),
        ({"2": {"name": " lung "}}, {2: "lung"}),
        ({"labels": {"lung": 1}, "channel_names": {"0": "CT"}}, {1: "lung"}),
        ({"labels": ["lung"]}, {1: "lung"}),
        ([], {}),
        ({}, {}),
    ],
)
def test_forms_of_the_file(content: Any, names: dict[int, str], tmp_path: Path) -> None:
    assert _names(_read(tmp_path, content)) == names


@pytest.mark.parametrize(
    ("colour", "rgb"), [("#0A10ff", (10, 16, 255)), ([1, 2, 3], (1, 2, 3)), (None, PALETTE[0])], ids=str
)
@pytest.mark.parametrize("key", ["colour", "color"])
def test_colours(key: str, colour: Any, rgb: tuple[int, int, int], tmp_path: Path) -> None:
    assert _read(tmp_path, {"1": {"name": "lung", key: colour}})[1].colour == rgb


@pytest.mark.parametrize(
    "code",
    [
        LUNG,
        list(LUNG.values()),
        dict(zip(["CodeValue", "CodingSchemeDesignator", "CodeMeaning"], LUNG.values(), strict=True)),
    ],
    ids=["object", "list", "DICOM's keywords"],
)
def test_codes(code: Any, tmp_path: Path) -> None:
    label = _read(tmp_path, {"1": {"name": "lung", "type": code}})[1]
    assert label == Label(1, "lung", PALETTE[0], type=Code("39607008", "SCT", "Lung"))


def test_labels_without_description_have_names_and_colours_too(tmp_path: Path) -> None:
    table = read_labels(tmp_path / "config_inference.json", {})
    assert [table[n].name for n in (0, 1, 300)] == ["background", "label 1", "label 300"]
    assert not table.is_described(1)
    assert table[2].colour == PALETTE[1]


def test_the_option_wins_over_the_configuration_which_wins_over_the_file_beside_it(tmp_path: Path) -> None:
    assert _names(_read(tmp_path, ["beside"])) == {1: "beside"}
    document: Any = {"labels": ["inside"]}
    assert _names(read_labels(tmp_path / "c.json", document)) == {1: "inside"}
    own = tmp_path / "own.json"
    own.write_text('["own"]')
    assert _names(read_labels(tmp_path / "c.json", document, own)) == {1: "own"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (3, "expected an object"),
        ({"9" * 5000: "lung"}, "expected the number of a label"),
        ({"1": "lung", "01": "liver"}, "label 1 is described twice"),
        ({"lung": 1, "liver": 1}, "label 1 is described twice"),
        ({"lung": -1}, "lung: expected the number of a label, 0 to 2147483647, found -1"),
        ({"lung": "left"}, "expected the number of a label"),
        ({"1": 1.5}, "expected a name or an object"),
        ({"1": ""}, "1: expected a name of 1 to 64 printable characters"),
        ({"1": "a" * 65}, "expected a name of 1 to 64"),
        ({"1": "a\nb"}, "expected a name of 1 to 64"),
        ({"1": {"colour": "#ffffff"}}, "1.name: is missing"),
        ({"1": {"name": "a", "colours": 1}}, "1.colours: unknown key"),
        ({"1": {"name": "a", "colour": "red"}}, 'expected a colour "#rrggbb" or three numbers'),
        ({"1": {"name": "a", "colour": [1, 2, 256]}}, "expected a colour"),
        ({"1": {"name": "a", "colour": [1, 2, True]}}, "expected a colour"),
        ({"1": {"name": "a", "colour": "#ffffff", "color": "#ffffff"}}, "exclude each other"),
        ({"1": {"name": "a", "type": "lung"}}, "1.type: expected a code"),
        ({"1": {"name": "a", "type": {"value": "1"}}}, "1.type: expected a code"),
        ({"1": {"name": "a", "category": ["1", "2"]}}, "1.category: expected a code"),
        ({"1": {"name": "a", "category": ["1", "SCT", ""]}}, "1.category: expected a code"),
        ({"lung": [1, 2]}, "expected the number of a label"),
    ],
)
def test_refusals_name_the_file_and_the_key(content: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refusal:
        _read(tmp_path, content)
    assert str(tmp_path / "labels.json") in str(refusal.value)
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_missing_or_damaged_file_is_refused(tmp_path: Path) -> None:
    missing = tmp_path / "none.json"
    with pytest.raises(ConfigError, match=r"none\.json: no such file .*give the path of a labels"):
        read_labels(tmp_path / "c.json", {}, missing)
    missing.write_text("{")
    with pytest.raises(ConfigError, match="line 1, column 2"):
        read_labels(tmp_path / "c.json", {}, missing)


def test_the_packaged_configuration_names_the_lung() -> None:
    from gpu_infer.config.load import load_config
    from gpu_infer.system.resources import resource_folder

    labels = load_config(resource_folder("config") / "config_inference.json", {}).labels
    assert _names(labels) == {0: "background", 1: "lung"}
    assert labels[1].type == Code(*LUNG.values())
