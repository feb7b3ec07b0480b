"""Hidden folders in which a run was writing when it was killed."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from pathlib import Path

from .atomic import SUFFIX

_PATTERN = f".*.{'?' * 8}{SUFFIX}"
"""As `atomic.staging` names them: what is made, then eight characters that no other has."""

_SECONDS = 60.0
"""A folder that is younger may belong to a run that has not locked it yet."""


def find_unfinished(folder: Path) -> list[Path]:
    """What nobody writes to any more, sorted; nothing where `folder` is missing or its file system knows no locks."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.glob(_PATTERN) if path.is_dir() and _is_dead(path))


def remove(paths: list[Path]) -> None:
    """Raises OSError where one cannot be removed."""
    for path in paths:
        shutil.rmtree(path)


def _is_dead(path: Path) -> bool:
    try:
        if time.time() - path.stat().st_mtime < _SECONDS:
            return False
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True
