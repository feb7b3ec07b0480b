"""Shared memory of the Python backend: leftovers of killed servers, and a warning if there is little of it."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil

from gpu_infer.triton.local.supervisor import OWNER, SHM_PREFIX, remove_regions
from gpu_infer.triton.shm.naming import SHM_FOLDER, lock_existing

log = logging.getLogger(__name__)

_PREFIX = re.compile(rf"{SHM_PREFIX}\d+_[0-9a-f]{{16}}_")

# The Python backend moves tensors to its stub through /dev/shm: a window of the lung model has 26 MB in and 52 MB out.
_COMFORT = 256 << 20


def remove_leftovers() -> list[str]:
    """Remove regions of the Python backend whose supervisor was killed with SIGKILL; return their names.

    A supervisor lives while a process, in any container, holds the lock of its file; its pid proves nothing. Regions of
    other users, and files whose names no supervisor makes, stay.
    """
    names = [path.name for path in SHM_FOLDER.glob(SHM_PREFIX + "*")]
    removed = []
    for prefix in sorted({match.group() for name in names if (match := _PREFIX.match(name))}):
        lock: int | None = None
        try:
            lock = lock_existing(SHM_FOLDER / (prefix + OWNER))
        except FileNotFoundError:
            pass  # a supervisor removes its file last
        except OSError:  # its supervisor lives, or belongs to another user
            continue
        try:
            regions = sorted(path.name for path in SHM_FOLDER.glob(prefix + "*"))
            with contextlib.suppress(PermissionError):  # of another user
                remove_regions(prefix, SHM_FOLDER)
                removed += regions
        finally:
            if lock is not None:
                os.close(lock)
    return removed


def warn_when_small() -> None:
    """Log a warning if large windows may not fit into the free shared memory."""
    free = shutil.disk_usage(SHM_FOLDER).free
    if free < _COMFORT:
        log.warning(
            "%s has %d MB free; large tiles may fail (in a container: --shm-size=1g)",
            SHM_FOLDER,
            free >> 20,
        )
