"""Connections need file descriptors. gRPC aborts the process if it gets none, so they are counted before."""

from __future__ import annotations

import errno
import resource
from pathlib import Path

from gpu_infer.errors import ResourceError

NEEDED = 8
"""Of one client: epoll sets, events that wake them, a socket."""


def check_descriptors() -> None:
    """Raise ResourceError if this process may open fewer than `NEEDED` more files."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    free = max(limit - _in_use(limit), 0)
    if limit != resource.RLIM_INFINITY and free < NEEDED:
        raise _too_few(free, limit)


def no_descriptor(error: OSError) -> ResourceError | None:
    """The error for a connection that failed because no more files can be opened; None if it failed otherwise."""
    if error.errno == errno.EMFILE:
        return _too_few(0, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    if error.errno == errno.ENFILE:
        return ResourceError(
            f"all programs together may open no more files, expected at least {NEEDED} for a connection to Triton",
            remedy="close other programs, or raise fs.file-max",
        )
    return None


def _too_few(free: int, limit: int) -> ResourceError:
    return ResourceError(
        f"{free} more files may be opened (of {limit}), expected at least {NEEDED} for a connection to Triton",
        remedy="raise the limit of open files (ulimit -n), at least 256 are needed",
    )


def _in_use(limit: int) -> int:
    """Return the number of open descriptors; `limit` if not even the list of them can be opened."""
    try:
        return len(list(Path("/proc/self/fd").iterdir())) - 1  # the list itself needs one
    except OSError as error:
        if error.errno != errno.EMFILE:
            raise
        return limit
