"""The cache folder (downloads, the local Triton), and private folders in it for compiled code."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from gpu_infer.errors import ConfigError

CACHE_VARIABLE = "GPU_INFER_CACHE"


def cache_folder(override: Path | None = None) -> Path:
    """Create the cache folder if it is missing: `override`, $GPU_INFER_CACHE or the user's cache folder.

    Without a usable home folder (any uid, read-only root) it is a private folder under the temporary directory.

    Raises:
        ConfigError: the folder cannot be created or written.
    """
    requested = override or (Path(value) if (value := os.environ.get(CACHE_VARIABLE)) else None)
    if requested is not None:
        folder = _expanded(requested).resolve()
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
    except OSError as error:  # TMPDIR, /tmp, /var/tmp and the current folder are all read-only
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


def private_folder(name: str) -> Path | None:
    """Create folder `name` of the cache folder if it is missing, for compiled code: files that this process executes.

    None if it cannot be created, is a symbolic link, or if another user could write to it.
    """
    try:
        folder = cache_folder() / name
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except (ConfigError, OSError):
        return None
    return folder if stat.S_ISDIR(status.st_mode) and is_private(status) else None


def is_private(status: os.stat_result) -> bool:
    """Whether this user owns the folder of `status`, and no other user can write to it."""
    return status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _home() -> Path | None:
    """The user's cache folder; None for a uid without HOME and without a passwd entry."""
    import platformdirs

    try:
        home = Path(platformdirs.user_cache_dir("gpu_infer", appauthor=False))
    except RuntimeError:  # newer versions raise; older ones return a path that begins with "~"
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
