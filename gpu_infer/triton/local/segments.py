"""Shared memory of the Python backend: how much there is, and what a killed server left."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

from .guard import SHM_FOLDER, SHM_PREFIX

log = logging.getLogger(__name__)

# The Python backend moves tensors to its stub through /dev/shm: a lung tile takes 26 MB in and 52 MB out.
_COMFORT = 256 << 20


def remove_leftovers() -> list[str]:
    """Remove regions of the Python backend whose guard was killed with SIGKILL; returns their names."""
    removed = []
    for path in SHM_FOLDER.glob(SHM_PREFIX + "*"):
        pid = path.name.removeprefix(SHM_PREFIX).split("_")[0]
        if pid.isdigit() and not Path("/proc", pid).exists():
            try:
                path.unlink(missing_ok=True)
            except PermissionError:  # another user's
                continue
            removed.append(path.name)
    return removed


def warn_when_small() -> None:
    """Log a warning when large tiles may not fit."""
    free = shutil.disk_usage(SHM_FOLDER).free
    if free < _COMFORT:
        log.warning(
            "%s has %d MB free; large tiles may fail (in a container: --shm-size=1g)",
            SHM_FOLDER,
            free >> 20,
        )
