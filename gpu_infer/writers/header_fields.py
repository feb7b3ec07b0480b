"""The text header of a MetaImage as a reader splits it: enough to recognise one and to find its voxels."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from gpu_infer.errors import ResourceError

DATA_FILE = "ElementDataFile"
_LIMIT = 1 << 16
_NO_FILE = {errno.ENOENT, errno.ENXIO, errno.ELOOP, errno.ENOTDIR}  # nothing, a socket, links in a circle
_REQUIRED = ("NDims", "DimSize", "ElementType")


def read_fields(path: Path) -> dict[str, str] | None:
    """Fields by key up to `ElementDataFile`, which ends a header; None for anything but a MetaImage header.

    Never waits: a FIFO, a device or nothing at all is no header either. Raises `OSError` for what cannot be read.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in _NO_FILE:
            return None
        raise
    try:
        head = os.read(handle, _LIMIT) if stat.S_ISREG(os.fstat(handle).st_mode) else b""
    finally:
        os.close(handle)
    fields: dict[str, str] = {}
    for line in head.split(b"\n"):
        key, separator, value = line.decode("utf-8", "surrogateescape").partition("=")
        if not separator:
            return None
        fields[key.strip()] = value.strip()
        if key.strip() == DATA_FILE:
            return fields if all(name in fields for name in _REQUIRED) else None
    return None


def check_header(path: Path, fields: dict[str, str], nbytes: int) -> None:
    """Raise `ResourceError` unless a reader of `path` finds these fields and `nbytes` of voxels."""
    found = read_fields(path)
    if found != fields:
        raise ResourceError(
            f"{path.name}: the header reads back as {found}, expected {fields}", remedy="check the disk, and run again"
        )
    size = (path.parent / fields[DATA_FILE]).stat().st_size
    if size != nbytes:
        raise ResourceError(
            f"{fields[DATA_FILE]}: {size} bytes, expected {nbytes} as {path.name} says",
            remedy="check the disk, and run again",
        )
