"""Reads small regular files; refuses a FIFO, a device or a socket, which could block."""

from __future__ import annotations

import os
import stat
from pathlib import Path

MOST_BYTES = 16 << 20
"""Limit for a configuration; the largest in use have some kilobytes."""


def read_bytes(path: Path) -> bytes:
    """The bytes of a regular file.

    Raises:
        OSError: `path` is no regular file, has more than `MOST_BYTES`, or cannot be read.
    """
    # O_NONBLOCK: without it, open() of a FIFO waits for a writer
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:  # raises for a folder
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(None, "it is no regular file")
        content = stream.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise OSError(None, f"it has more than {MOST_BYTES >> 20} MiB")
    return content
