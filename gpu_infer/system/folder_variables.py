"""Checks the folders in environment variables of caches and compiled kernels."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from gpu_infer.errors import ConfigError
from gpu_infer.system.cache import CACHE_VARIABLE

KERNELS_VARIABLE = "GPU_INFER_KERNELS"
_CACHES = (CACHE_VARIABLE, "NUMBA_CACHE_DIR", "CUPY_CACHE_DIR")
"""Folders that are created if missing. If one is read-only, its user logs a warning."""


def check_folder_variables(environ: Mapping[str, str]) -> None:
    """Raise the first error of `folder_refusals`."""
    for error in folder_refusals(environ):
        raise error


def folder_refusals(environ: Mapping[str, str]) -> list[ConfigError]:
    """One ConfigError for each variable that names no folder; for a cache, only if a file is in its place."""
    refusals = []
    if (text := environ.get(KERNELS_VARIABLE)) and not _is_folder(Path(text)):
        refusals.append(
            ConfigError(
                f"{KERNELS_VARIABLE}: no folder {text}, expected the folder of kernels compiled beforehand",
                remedy="correct it, or leave it unset to compile them when they are needed",
            )
        )
    return refusals + [
        ConfigError(
            f"{name}: {text} cannot be a folder, found a file at {obstacle}",
            remedy="name a folder; it is made if missing",
        )
        for name in _CACHES
        if (text := environ.get(name)) and (obstacle := _obstacle(Path(text))) is not None
    ]


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # null character in the name, name too long
        return False


def _obstacle(path: Path) -> Path | None:
    """The file that occupies the path of the folder or of a parent; None if there is none."""
    with suppress(RuntimeError):  # no home folder: `cache_folder` refuses `~`
        path = path.expanduser()
    for place in (path, *path.parents):
        with suppress(OSError, ValueError):
            if place.exists():
                return None if place.is_dir() else place
    return None
