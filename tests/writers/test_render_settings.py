"""config_render.json: the packaged preset, both spellings, and what is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gpu_infer.errors import ConfigError
from gpu_infer.system.resources import resource_folder
from gpu_infer.writers.render_settings import RenderFile, load_render_settings


def load(tmp_path: Path, content: Any) -> RenderFile:
    path = tmp_path / "config_render.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return load_render_settings(path)


def test_the_packaged_preset_shows_bone_and_lung() -> None:
    preset = load_render_settings(resource_folder("config") / "config_render.json")
    assert [camera.name for camera in preset.cameras] == [
        "Cinematic",
        "SliceTop",
        "SliceFront",
        "SliceRight",
        "SliceOblique",
    ]
    assert preset.transfer_function is not None
    assert [c.active_regions for c in preset.transfer_function.components] == [[0], [1]]
    assert preset.transfer_function.hidden_regions == []
    assert len(preset.light) == 1


@pytest.mark.parametrize(
    ("written", "read"), [(True, True), (False, False), ("SWITCH_ENABLE", True), ("SWITCH_DISABLE", False)]
)
def test_switches(tmp_path: Path, written: Any, read: bool) -> None:
    found = load(tmp_path, {"BackgroundLight": {"enable": written}, "Light": {"enable": written}})
    assert found.background_light is not None
    assert found.background_light.enable is read
    assert found.light[0].enable is read


@pytest.mark.parametrize("key", ["Camera", "Cameras", "DataView", "DataViews", "Light", "Lights", "View", "Views"])
def test_one_or_many_under_either_name(tmp_path: Path, key: str) -> None:
    assert load(tmp_path, {key: {"name": "SliceTop"}}) == load(tmp_path, {key: [{"name": "SliceTop"}]})


def test_absent_sections_and_keys_of_other_renderers_pass(tmp_path: Path) -> None:
    assert load(tmp_path, {}).transfer_function is None
    found = load(tmp_path, {"RenderSettings": {"enableWarp": True}, "DataTransform": {"matrix": [0.0] * 16}})
    assert found.render_settings is not None
    assert found.render_settings.step_size == 1.0


COMPONENT = {"range": {"min": 0.1, "max": 0.2}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"config_render\.json: not JSON"),
        ([], r"config_render\.json: found \[\]: Input should be"),
        ({"Camara": {}}, r"Camara: unknown key \(did you mean Camera"),
        ({"BackgroundLight": {"enable": "ON"}}, r'BackgroundLight\.enable: found "ON": expected true, false, SWITCH_'),
        ({"BackgroundLight": {"topColor": {"x": 2, "y": 0, "z": 0}}}, r"BackgroundLight\.topColor\.x: found 2: .*1"),
        ({"Cameras": [{}, {"fieldOfView": 0}]}, r"Cameras\[1\]\.fieldOfView: found 0"),
        ({"DataCrop": {"limits": [{"min": 0, "max": 1}]}}, r"DataCrop\.limits: .*at least 4"),
        ({"TransferFunction": {"globalOpacty": 1}}, r"globalOpacty: unknown key \(did you mean globalOpacity"),
        ({"TransferFunction": {"shadingProfile": "PHONG"}}, r'shadingProfile: found "PHONG": .*BRDF_ONLY'),
        (
            {"TransferFunction": {"components": [COMPONENT, {"range": {"min": 0.5, "max": 0.4}}]}},
            r"TransferFunction\.components\[1\]\.range: found .*: expected min ≤ max",
        ),
        ({"TransferFunction": {"components": [{}]}}, r"components\[0\]\.range: found .*required"),
        (
            {"TransferFunction": {"components": [{**COMPONENT, "activeRegions": [-1]}]}},
            r"activeRegions\[0\]: found -1",
        ),
        ({"TransferFunction": {"components": [{**COMPONENT, "opacityProfile": "TRAPEZOID"}]}}, "TRAPEZIOD"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load(tmp_path, content)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"config_render\.json: no such file .put config_render\.json beside"):
        load_render_settings(tmp_path / "config_render.json")


@pytest.mark.parametrize(
    "content",
    ["[" * 100_000, '{"a": ' * 2000 + "1" + "}" * 2000, '{"a": ' + "9" * 5000 + "}"],
    ids=["lists", "objects", "digits"],
)
def test_nesting_and_numbers_beyond_reading(content: str, tmp_path: Path) -> None:
    path = tmp_path / "config_render.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"config_render\.json: "):
        load_render_settings(path)
