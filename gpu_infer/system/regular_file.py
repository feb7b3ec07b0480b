"""Reading a small text file without waiting for it: a FIFO, a device or a socket is refused."""

from __future__ import annotations

import os
import stat
from pathlib import Path

MOST_BYTES = 16 << 20
"""Of a configuration; the largest in use have some kilobytes."""


def read_bytes(path: Path) -> bytes:
    """The bytes of a regular file. OSError if it is none, has more than `MOST_BYTES`, or cannot be read."""
    # O_NONBLOCK: opening a FIFO would wait for a writer
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "no regular file"
            raise OSError(None, f"it is {kind}")
        content = stream.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise OSError(None, f"it has more than {MOST_BYTES >> 20} MiB")
    return content
