"""Where downloads and the local Triton live between runs."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import platformdirs

from gpu_infer.errors import ConfigError

CACHE_VARIABLE = "GPU_INFER_CACHE"


def cache_folder(override: Path | None = None) -> Path:
    """Writable folder for what can be fetched again: `override`, $GPU_INFER_CACHE or the user's cache folder.

    Without a usable home (any uid, read-only root) it is a private folder under the temporary directory.
    Raises ConfigError when the folder asked for cannot be made or written.
    """
    asked = override or (Path(value) if (value := os.environ.get(CACHE_VARIABLE)) else None)
    if asked is not None:
        folder = _expanded(asked).resolve()
        if not _usable(folder):
            raise ConfigError(
                f"cache folder {folder} cannot be written",
                remedy=f"point {CACHE_VARIABLE} at a writable folder",
            )
        return folder
    home = _home()
    if home is not None and _usable(home):
        return home
    try:
        folder = Path(tempfile.gettempdir()) / f"gpu_infer-{os.getuid()}"
    except OSError as error:  # none of TMPDIR, /tmp, /var/tmp and the current folder can be written
        raise ConfigError(
            f"neither {home or 'a home folder'} nor a temporary folder can be written",
            remedy=f"point TMPDIR and {CACHE_VARIABLE} at a writable folder",
        ) from error
    if not _usable(folder) or folder.stat().st_uid != os.getuid():
        raise ConfigError(
            f"neither {home or 'a home folder'} nor {folder} can be written",
            remedy=f"point {CACHE_VARIABLE} at a writable folder",
        )
    return folder


def _home() -> Path | None:
    """The user's cache folder; None for a uid that has neither HOME nor a passwd entry."""
    try:
        home = Path(platformdirs.user_cache_dir("gpu_infer", appauthor=False))
    except RuntimeError:  # newer versions say so; older ones leave "~" as it is
        return None
    return home if home.is_absolute() else None


def _expanded(folder: Path) -> Path:
    try:
        return folder.expanduser()
    except RuntimeError as error:
        raise ConfigError(
            f"cache folder {folder}: this user has no home folder",
            remedy=f"give {CACHE_VARIABLE} a path without ~",
        ) from error


def _usable(folder: Path) -> bool:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, ValueError):  # ValueError: a null character in the name
        return False
    return os.access(folder, os.W_OK | os.X_OK)
