"""Where compiled kernels are kept; imported by every module that has one, before Numba makes it.

`NUMBA_CACHE_DIR` of the environment wins. Without it the user's cache folder is taken, or a private folder
under the temporary one. Where neither can be written (read-only root, no HOME), kernels are compiled anew in
each process and a log line says so.
"""

from __future__ import annotations

import logging
import os
import stat
import sys
import tempfile
from pathlib import Path

from platformdirs import user_cache_path

_log = logging.getLogger(__name__)


def _is_private(folder: Path) -> bool:
    """True where nobody else could put a file: the cache holds pickles, which run code when they are read."""
    found = folder.stat()
    return found.st_uid == os.geteuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _usable(folder: Path) -> bool:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_private(folder):
            return False
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _candidates() -> list[Path]:
    folders = [user_cache_path("gpu_infer") / "numba"]
    try:
        folders.append(Path(tempfile.gettempdir()) / f"gpu_infer-numba-{os.geteuid()}")
    except FileNotFoundError:
        _log.debug("no temporary folder can be written")
    # a uid without HOME and without a passwd entry leaves "~" in the path
    return [folder for folder in folders if folder.is_absolute()]


def choose_cache_folder() -> Path | None:
    """The first folder that can be written and belongs to this user alone, made where it is missing; or None."""
    return next((folder for folder in _candidates() if _usable(folder)), None)


def _configure() -> bool:
    if os.environ.get("NUMBA_CACHE_DIR"):
        return True
    folder = choose_cache_folder()
    if folder is None:
        _log.warning("no folder for compiled kernels can be written: set NUMBA_CACHE_DIR to save seconds per start")
        return False
    os.environ["NUMBA_CACHE_DIR"] = str(folder)
    if "numba" in sys.modules:
        sys.modules["numba"].config.CACHE_DIR = str(folder)
    return True


CACHE = _configure()
"""Whether kernels are kept between processes (`njit(cache=CACHE)`)."""
