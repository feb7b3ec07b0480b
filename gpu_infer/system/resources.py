"""The packaged folders config/, models/, kernels/ and backends/, in a checkout and in a wheel."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def resource_folder(name: str) -> Path:
    """Folder `name` ("config", "models", "kernels" or "backends") of this installation.

    A wheel has the folders in the package, under `_data`; a checkout and an editable install have them next to the
    package.

    Raises:
        FileNotFoundError: the installation is incomplete.
    """
    for candidate in (_PACKAGE / "_data" / name, _PACKAGE.parent / name):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"packaged folder {name!r} not found beside {_PACKAGE}: the installation is incomplete")
