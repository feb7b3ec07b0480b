"""config_render.json: how a renderer shows the published volume.

The user's file is copied to the publish folder unchanged. This module checks its top-level keys and their types; the
values inside a section belong to the renderer, and renderers of different ages know different ones. If the user has no
such file, one is made for the labels.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from pathlib import Path

from gpu_infer.errors import ConfigError
from gpu_infer.label_table.table import Label

FILE_NAME = "config_render.json"

_OBJECTS = (
    *("BackgroundLight", "CameraAperture", "DataCrop", "DataTransform", "PostProcessDenoise", "PostProcessTonemap"),
    *("RenderSettings", "TransferFunction"),
)
"""Sections with one object; null means the renderer's default."""

_LISTS = ("Camera", "Cameras", "DataView", "DataViews", "Light", "Lights", "View", "Views")
"""Sections with one object or a list of objects, under the singular or the plural name."""


def settings_for_labels(preset: Path, labels: Sequence[Label]) -> str:
    """The content of a config_render.json that shows each of `labels` in its colour.

    The renderer's region n is label n, and region 0 the rest of the volume. Everything but the components of the labels
    is that of `preset`, whose second component says how a label looks. Without labels the preset itself.
    """
    content = json.loads(preset.read_text(encoding="utf-8"))
    if labels:
        volume, pattern = content["TransferFunction"]["components"]
        components = [pattern | _colours(label) | {"activeRegions": [label.value]} for label in labels]
        content["TransferFunction"]["components"] = [volume, *components]
    return json.dumps(content, indent=4) + "\n"


def _colours(label: Label) -> dict[str, dict[str, float]]:
    """A label's diffuse colours at both ends of the component's range: a darker one and its own."""
    shares = [round(channel / 255, 4) for channel in label.colour]
    return {
        "diffuseStart": {axis: round(0.6 * share, 4) for axis, share in zip("xyz", shares, strict=True)},
        "diffuseEnd": dict(zip("xyz", shares, strict=True)),
    }


def check_render_settings(path: Path) -> None:
    """Raise `ConfigError`, which names the file and the first wrong key, if `path` is no config_render.json."""
    try:
        content: object = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(
            f"{path}: no such file", remedy=f"put {FILE_NAME} beside the inference configuration"
        ) from error
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", remedy="make it readable") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not JSON: {error}", remedy="fix the file") from error
    if not isinstance(content, dict):
        raise _wrong_type(f"{path}", content, "an object")
    for key, value in content.items():
        if key in _LISTS:
            _check_list(f"{path}: {key}", value)
        elif key not in _OBJECTS:
            near = difflib.get_close_matches(key, (*_OBJECTS, *_LISTS), 1)
            raise ConfigError(f"{path}: {key}: unknown key", remedy=f"did you mean {near[0]}?" if near else "remove it")
        elif value is not None and not isinstance(value, dict):
            raise _wrong_type(f"{path}: {key}", value, "an object")


def _check_list(place: str, value: object) -> None:
    if isinstance(value, dict):
        return
    if not isinstance(value, list):
        raise _wrong_type(place, value, "an object or a list of objects")
    for index, item in enumerate(value):
        if not isinstance(item, dict):
            raise _wrong_type(f"{place}[{index}]", item, "an object")


def _wrong_type(place: str, value: object, expected: str) -> ConfigError:
    shown = "a list" if isinstance(value, list) else "an object" if isinstance(value, dict) else json.dumps(value)[:60]
    return ConfigError(f"{place}: found {shown}, expected {expected}", remedy="fix the value")
