"""Temporary log files of local servers: an error that names one leaves it, and so does a kill."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from pathlib import Path
from typing import IO

from gpu_infer.triton.shm.naming import lock_existing

KEEP_S = 86_400.0
"""Seconds for which the log of a server that has ended stays: an error has just sent its reader there."""

_PREFIX, _SUFFIX = "gpu_infer-triton-", ".log"


def create_log() -> Path:
    """A new empty file in the temporary folder, for this user alone."""
    handle, name = tempfile.mkstemp(prefix=_PREFIX, suffix=_SUFFIX)
    os.close(handle)
    return Path(name)


def mark_in_use(stream: IO[bytes]) -> None:
    """Lock a log for as long as the server, or another process that inherits the open file, lives."""
    fcntl.flock(stream, fcntl.LOCK_SH)


def remove_old_logs(folder: Path | None = None) -> list[Path]:
    """Remove this user's logs of servers that ended more than `KEEP_S` ago; return them. Never raises OSError."""
    removed = []
    for path in sorted(Path(folder or tempfile.gettempdir()).glob(f"{_PREFIX}*{_SUFFIX}")):
        try:
            status = path.lstat()
            if status.st_uid != os.geteuid() or time.time() - status.st_mtime < KEEP_S:
                continue
            lock = lock_existing(path)
            try:
                path.unlink()
            finally:
                os.close(lock)
        except OSError:  # a server that lives, or one that has just removed its log
            continue
        removed.append(path)
    return removed
