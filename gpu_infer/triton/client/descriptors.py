"""File descriptors that a connection needs: gRPC aborts the process if it gets none."""

from __future__ import annotations

import resource
from pathlib import Path

from gpu_infer.errors import ResourceError

NEEDED = 8
"""For one client: epoll sets, events that wake them, a socket."""


def check_descriptors() -> None:
    """Raises ResourceError if this process may open fewer than `NEEDED` more files."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    left = limit - len(list(Path("/proc/self/fd").iterdir())) + 1  # listing takes one
    if limit != resource.RLIM_INFINITY and left < NEEDED:
        raise ResourceError(
            f"{left} more files may be opened (of {limit}), expected at least {NEEDED} for a connection to Triton",
            remedy="raise the limit of open files (ulimit -n), at least 256 are needed",
        )
