"""Configurations for tests."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gpu_infer.config.config import Config
from gpu_infer.config.load import load_config
from gpu_infer.errors import ConfigError
from gpu_infer.system.resources import resource_folder

PACKAGED = resource_folder("config") / "config_inference.json"
LUNG: dict[str, Any] = json.loads(PACKAGED.read_text(encoding="utf-8"))


def lung(**changes: Any) -> dict[str, Any]:
    """The packaged configuration with top-level keys replaced (None: removed)."""
    document = {**copy.deepcopy(LUNG), **changes}
    return {k: v for k, v in document.items() if v is not None}


def load(folder: Path, document: dict[str, Any] | str, environ: Mapping[str, str] | None = None) -> Config:
    path = folder / "config_inference.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
    return load_config(path, environ or {})


def component(name: str, **args: Any) -> dict[str, Any]:
    return {"name": name, "args": args}


def pre(*components: Any) -> list[Any]:
    """LoadNifti, then `components`."""
    return [component("LoadNifti", fields="image"), *components]


def assert_refused(folder: Path, document: dict[str, Any] | str, message: str) -> None:
    """Loading the configuration in `folder` fails with this one line; {folder} and {parent} in it are filled in."""
    with pytest.raises(ConfigError) as caught:
        load(folder, document)
    expected = message.replace("{folder}", str(folder)).replace("{parent}", str(folder.parent))
    assert str(caught.value) == f"{folder}/config_inference.json: {expected}"
    assert "\n" not in str(caught.value)
