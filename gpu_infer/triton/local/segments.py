"""Shared memory of the Python backend: how much there is, and what a killed server left."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import shutil
from pathlib import Path

from gpu_infer.triton.local.guard import OWNER, SHM_FOLDER, SHM_PREFIX, remove_regions

log = logging.getLogger(__name__)

_PREFIX = re.compile(rf"{SHM_PREFIX}\d+_[0-9a-f]{{16}}_")

# The Python backend moves tensors to its stub through /dev/shm: a lung tile takes 26 MB in and 52 MB out.
_COMFORT = 256 << 20


def remove_leftovers() -> list[str]:
    """Remove regions of the Python backend whose guard was killed with SIGKILL; returns their names.

    A guard lives as long as the lock of its own file is held, in whatever container: pids prove nothing. Regions of
    other users, and files that no guard has named, are not touched.
    """
    names = [path.name for path in SHM_FOLDER.glob(SHM_PREFIX + "*")]
    removed = []
    for prefix in sorted({match.group() for name in names if (match := _PREFIX.match(name))}):
        try:
            lock = _lock(SHM_FOLDER / (prefix + OWNER))
        except OSError:  # its guard lives, or is another user's
            continue
        try:
            mine = sorted(path.name for path in SHM_FOLDER.glob(prefix + "*"))
            with contextlib.suppress(PermissionError):  # another user's
                remove_regions(prefix, SHM_FOLDER)
                removed += mine
        finally:
            if lock is not None:
                os.close(lock)
    return removed


def _lock(path: Path) -> int | None:
    """A descriptor that holds the lock of a guard's file; None without the file, which a guard removes last.

    Raises OSError if another process holds the lock or the file is another user's.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise
    return fd


def warn_when_small() -> None:
    """Log a warning when large tiles may not fit."""
    free = shutil.disk_usage(SHM_FOLDER).free
    if free < _COMFORT:
        log.warning(
            "%s has %d MB free; large tiles may fail (in a container: --shm-size=1g)",
            SHM_FOLDER,
            free >> 20,
        )
