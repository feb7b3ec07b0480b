"""What the importers share: the packages that they need, and the folder that they write."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gpu_infer.errors import ConfigError, ResourceError


def check_packages() -> None:
    """Raise ConfigError without the packages that write a repository entry."""
    if missing := [name for name in ("onnx", "onnxruntime") if find_spec(name) is None]:
        raise ConfigError(f"importing a model needs the package {missing[0]}", remedy="pip install 'gpu-infer[models]'")


def check_folder(folder: Path) -> None:
    """Raise ConfigError if something has this name."""
    if os.path.lexists(folder):
        raise ConfigError(f"{folder} exists already", remedy="give a new folder as --output")


def write_folder(folder: Path, files: Mapping[str, Any]) -> None:
    """Write a new folder with JSON files, complete or not at all; ResourceError if it cannot be written."""
    folder = folder.absolute()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".gpu-infer-", dir=folder.parent) as hidden:
            new = Path(hidden, "new")
            new.mkdir()
            for name, content in files.items():
                text = json.dumps(content, indent=4, ensure_ascii=False) + "\n"
                (new / name).write_text(text, encoding="utf-8")
            new.rename(folder)
    except OSError as error:
        raise ResourceError(f"{folder} cannot be written: {error.strerror or error}", remedy="give another") from error
