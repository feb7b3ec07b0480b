"""Where the packaged folders are: config/, models/ and kernels/, in a checkout and in a wheel alike."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def resource_folder(name: str) -> Path:
    """Folder `name` ("config", "models" or "kernels") of this installation.

    A wheel carries the folders inside the package, under `_data`; a checkout and an editable install have them
    beside the package.
    """
    for candidate in (_PACKAGE / "_data" / name, _PACKAGE.parent / name):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"packaged folder {name!r} not found beside {_PACKAGE}: the installation is incomplete")
