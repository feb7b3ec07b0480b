"""Write a small file whole or not at all, and flush files and folders to the disk.

Several files that must appear together: `gpu_infer.writers.atomic`.
"""

from __future__ import annotations

import errno
import os
import secrets
from pathlib import Path

_PREFIX_BYTES = 64  # of the file's name in that of the temporary one, which must not exceed 255 bytes


def replace_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 to `path`; a reader sees the older file or the new one, never a part.

    The mode is the one that the process's umask gives a new file. Nothing is flushed to the disk. Raises `OSError`; an
    older file is then unchanged.
    """
    replace_bytes(path, text.encode("utf-8"))


def replace_bytes(path: Path, data: bytes) -> None:
    """As `replace_text`, with bytes."""
    # Random, not the process id: ids repeat across containers that share the folder.
    prefix = os.fsdecode(os.fsencode(path.name)[:_PREFIX_BYTES])
    temporary = path.with_name(f".{prefix}.{secrets.token_hex(8)}.partial")
    try:
        with temporary.open("xb") as stream:
            stream.write(data)
        temporary.replace(path)
    except BaseException:  # an interrupt, too
        temporary.unlink(missing_ok=True)
        raise


def sync(path: Path) -> None:
    """Flush a file, or a folder's entries, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems cannot sync folders
            raise
    finally:
        os.close(handle)
