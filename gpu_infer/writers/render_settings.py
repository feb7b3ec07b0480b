"""config_render.json: how a renderer shows the published volume.

The file is copied to the publish folder unchanged. This module checks its top-level keys and their types; the values
inside a section belong to the renderer, and renderers of different ages know different ones.
"""

from __future__ import annotations

import difflib
import json
from pathlib import Path

from gpu_infer.errors import ConfigError

FILE_NAME = "config_render.json"

_OBJECTS = (
    *("BackgroundLight", "CameraAperture", "DataCrop", "DataTransform", "PostProcessDenoise", "PostProcessTonemap"),
    *("RenderSettings", "TransferFunction"),
)
"""Sections with one object; null means the renderer's default."""

_LISTS = ("Camera", "Cameras", "DataView", "DataViews", "Light", "Lights", "View", "Views")
"""Sections with one object or a list of objects, under the singular or the plural name."""


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
        raise ConfigError(f"{path}: not JSON: {error}", remedy="mend the file") from error
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
    return ConfigError(f"{place}: found {shown}, expected {expected}", remedy="mend the value")
