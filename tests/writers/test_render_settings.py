"""config_render.json: the packaged preset, both spellings of a section, and mistakes by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gpu_infer.errors import ConfigError
from gpu_infer.label_table.table import Label
from gpu_infer.system.resources import resource_folder
from gpu_infer.writers.render_settings import check_render_settings, settings_for_labels


def check(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "config_render.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    check_render_settings(path)


def test_the_packaged_preset_shows_bone_and_lung() -> None:
    path = resource_folder("config") / "config_render.json"
    check_render_settings(path)
    preset = json.loads(path.read_text())
    assert [camera["name"] for camera in preset["Cameras"]] == [
        "Cinematic",
        "SliceTop",
        "SliceFront",
        "SliceRight",
        "SliceOblique",
    ]
    function = preset["TransferFunction"]
    assert [component["activeRegions"] for component in function["components"]] == [[0], [1]]
    assert function["hiddenRegions"] == []
    assert len(preset["Light"]) == 1


@pytest.mark.parametrize("key", ["Camera", "Cameras", "DataView", "DataViews", "Light", "Lights", "View", "Views"])
def test_one_or_many_under_either_name(tmp_path: Path, key: str) -> None:
    for value in ({"name": "SliceTop"}, [{"name": "SliceTop"}], [], [{}, {"name": "SliceTop"}]):
        check(tmp_path, {key: value})


@pytest.mark.parametrize(
    "key",
    [
        *("BackgroundLight", "CameraAperture", "DataCrop", "DataTransform", "PostProcessDenoise"),
        *("PostProcessTonemap", "RenderSettings", "TransferFunction"),
    ],
)
def test_sections_with_one_object(tmp_path: Path, key: str) -> None:
    for value in ({}, None, {"enable": "SWITCH_ENABLE"}):
        check(tmp_path, {key: value})
    with pytest.raises(ConfigError, match=rf"{key}: found a list, expected an object \(fix the value"):
        check(tmp_path, {key: []})


def test_absent_sections_and_keys_of_other_renderers_pass(tmp_path: Path) -> None:
    check(tmp_path, {})
    check(tmp_path, {"RenderSettings": {"enableWarp": True}, "DataTransform": {"matrix": [0.0] * 16}})
    check(tmp_path, {"BackgroundLight": {"enable": "SWITCH_DISABLE"}, "TransferFunction": {"components": []}})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"config_render\.json: not JSON"),
        ([], r"config_render\.json: found a list, expected an object \("),
        ("null", r"config_render\.json: found null, expected an object \("),
        ({"Camara": {}}, r"Camara: unknown key \(did you mean Camera"),
        ({"somethingElse": {}}, r"somethingElse: unknown key \(remove it"),
        ({"BackgroundLight": "ON"}, r'BackgroundLight: found "ON", expected an object \('),
        ({"RenderSettings": 3.5}, r"RenderSettings: found 3\.5, expected an object \("),
        ({"View": "x" * 1000}, r'View: found "x{59}, expected an object or a list of objects \('),
        ({"Cameras": None}, r"Cameras: found null, expected an object or a list of objects \("),
        ({"Cameras": [{}, 7]}, r"Cameras\[1\]: found 7, expected an object \("),
        ('{"Light": ' + "[" * 900 + "]" * 900 + "}", r"Light\[0\]: found a list, expected an object \("),
    ],
)
def test_mistakes_are_named(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        check(tmp_path, content)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"config_render\.json: no such file .put config_render\.json beside"):
        check_render_settings(tmp_path / "config_render.json")


@pytest.mark.parametrize(
    "content",
    ["[" * 100_000, '{"a": ' * 2000 + "1" + "}" * 2000, '{"a": ' + "9" * 5000 + "}"],
    ids=["lists", "objects", "digits"],
)
def test_nesting_and_numbers_beyond_reading(content: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"config_render\.json: "):
        check(tmp_path, content)


def test_settings_for_labels_show_each_in_its_colour(tmp_path: Path) -> None:
    preset = resource_folder("config") / "config_render.json"
    labels = [Label(2, "liver", (255, 0, 51)), Label(7, "spleen", (0, 102, 255))]
    text = settings_for_labels(preset, labels)
    (tmp_path / "config_render.json").write_text(text)
    check_render_settings(tmp_path / "config_render.json")
    made, original = json.loads(text), json.loads(preset.read_text())
    assert {key: value for key, value in made.items() if key != "TransferFunction"} == {
        key: value for key, value in original.items() if key != "TransferFunction"
    }
    volume, liver, spleen = made["TransferFunction"]["components"]
    assert volume == original["TransferFunction"]["components"][0]
    assert (liver["activeRegions"], spleen["activeRegions"]) == ([2], [7])
    assert liver["diffuseEnd"] == {"x": 1.0, "y": 0.0, "z": 0.2}
    assert spleen["diffuseStart"] == {"x": 0.0, "y": 0.24, "z": 0.6}
    assert liver.keys() == original["TransferFunction"]["components"][1].keys()


def test_without_labels_the_settings_are_the_preset() -> None:
    preset = resource_folder("config") / "config_render.json"
    assert json.loads(settings_for_labels(preset, [])) == json.loads(preset.read_text())
