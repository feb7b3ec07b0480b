"""Where downloads and the local Triton live between runs."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import platformdirs

from .errors import ConfigError

CACHE_VARIABLE = "GPU_INFER_CACHE"


def cache_folder(override: Path | None = None) -> Path:
    """Writable folder for what can be fetched again: `override`, $GPU_INFER_CACHE or the user's cache folder.

    Without a usable home (any uid, read-only root) it is a private folder under the temporary directory.
    Raises ConfigError when the folder asked for cannot be made or written.
    """
    asked = override or (Path(value) if (value := os.environ.get(CACHE_VARIABLE)) else None)
    if asked is not None:
        folder = asked.expanduser().resolve()
        if not _usable(folder):
            raise ConfigError(
                f"cache folder {folder} cannot be written",
                remedy=f"point {CACHE_VARIABLE} at a writable folder",
            )
        return folder
    home = Path(platformdirs.user_cache_dir("gpu_infer", appauthor=False))
    # A uid without a passwd entry and without HOME leaves "~" as it is: not a place to write to.
    if home.is_absolute() and _usable(home):
        return home
    folder = Path(tempfile.gettempdir()) / f"gpu_infer-{os.getuid()}"
    if not _usable(folder) or folder.stat().st_uid != os.getuid():
        raise ConfigError(
            f"neither {home} nor {folder} can be written",
            remedy=f"point {CACHE_VARIABLE} at a writable folder",
        )
    return folder


def _usable(folder: Path) -> bool:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)
