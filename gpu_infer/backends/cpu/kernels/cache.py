"""Chooses the folder of Numba's cache; imported by every module with kernels, before Numba compiles one.

`NUMBA_CACHE_DIR` of the environment wins. Without it, the folder is the user's cache folder, or a private folder under
the temporary one. If neither can be written (read-only root, no HOME), each process compiles its kernels, and logs
that.

An image has kernels that were compiled when it was built: `GPU_INFER_KERNELS` names their folder, and `numba` in it
is copied to a cache folder that is empty (Numba reads no cache that it cannot write).
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import stat
import sys
import tempfile
import time
from pathlib import Path

from platformdirs import user_cache_path

from gpu_infer.system.folder_variables import KERNELS_VARIABLE

log = logging.getLogger(__name__)


def _is_private(folder: Path) -> bool:
    """True if only this user can write to the folder: the cache holds pickles, which run code when they are read."""
    status = folder.stat()
    return status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


_NEEDED = 8 << 20
"""Bytes that must be free: with less, it is not worth while to begin."""


_OLD_S = 24 * 3600


def _usable(folder: Path) -> bool:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return _is_private(folder) and _has_space(folder)
    except OSError:
        return False


def _has_space(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder) as stream:
            os.posix_fallocate(stream.fileno(), 0, _NEEDED)
    except OSError:
        return False
    return True


def _can_write(folder: Path) -> bool:
    """Whether the folder that NUMBA_CACHE_DIR names can be used; logs a warning if not."""
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if _has_space(folder):
        return True
    log.warning("NUMBA_CACHE_DIR %s cannot be written or is full: kernels are compiled in each process", folder)
    return False


def _candidates() -> list[Path]:
    folders = []
    try:
        folders.append(user_cache_path("gpu_infer") / "numba")
    except RuntimeError:
        log.debug("no home folder is known")
    try:
        folders.append(Path(tempfile.gettempdir()) / f"gpu_infer-numba-{os.geteuid()}")
    except FileNotFoundError:
        log.debug("no temporary folder can be written")
    # older platformdirs do not expand the "~" of a uid without HOME and passwd entry
    return [folder for folder in folders if folder.is_absolute()]


def choose_cache_folder() -> Path | None:
    """The first folder that can be written by this user alone, created if it does not exist; or None."""
    return next((folder for folder in _candidates() if _usable(folder)), None)


def seed(folder: Path, compiled: Path) -> bool:
    """Make the empty `folder` a copy of `compiled`, whole or not at all. Returns whether this call made it one."""
    # random, not the process id: ids repeat across containers that share the folder
    partial = folder.with_name(f"{folder.name}.part-{os.urandom(8).hex()}")
    try:
        if not compiled.is_dir() or any(folder.iterdir()):
            return False
        _remove_old_copies(folder)
        shutil.copytree(compiled, partial, copy_function=shutil.copyfile)
        for copied in (partial, *partial.glob("*/")):  # copytree copies a folder's mode, perhaps without write
            copied.chmod(0o700)
        partial.replace(folder)
    except (OSError, shutil.Error) as error:  # another process was first, or the disk is full: compile instead
        unreadable = isinstance(error, (PermissionError, shutil.Error))
        level = logging.WARNING if unreadable else logging.DEBUG
        log.log(level, "kernels of %s not copied to %s: %s", compiled, folder, error)
        return False
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return True


def _remove_old_copies(folder: Path) -> None:
    """Remove what processes that were killed as they copied have left, after a day."""
    for partial in folder.parent.glob(f"{folder.name}.part-*"):
        with contextlib.suppress(OSError):
            if time.time() - partial.stat().st_mtime > _OLD_S:
                shutil.rmtree(partial)


def _configure() -> bool:
    compiled = os.environ.get(KERNELS_VARIABLE)
    if compiled and not Path(compiled).is_dir():
        log.warning("%s: no folder %s", KERNELS_VARIABLE, compiled)
    if name := os.environ.get("NUMBA_CACHE_DIR"):
        return _can_write(Path(name))
    folder = choose_cache_folder()
    if folder is None:
        log.warning("no folder for compiled kernels can be written: set NUMBA_CACHE_DIR to save seconds per start")
        return False
    if compiled:
        seed(folder, Path(compiled) / "numba")
    os.environ["NUMBA_CACHE_DIR"] = str(folder)
    if "numba" in sys.modules:
        sys.modules["numba"].config.CACHE_DIR = str(folder)
    return True


CACHE = _configure()
"""Whether compiled kernels are stored for other processes."""
