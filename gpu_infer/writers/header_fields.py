"""Fields of a MetaImage's text header, as far as needed to recognise a header and to find its voxels.

The reader of input volumes (`volume.formats.meta_header`) checks far more.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from gpu_infer.errors import ResourceError

DATA_FILE = "ElementDataFile"
_LIMIT = 1 << 16
_NO_FILE = {errno.ENOENT, errno.ENXIO, errno.ELOOP, errno.ENOTDIR}  # no such file, a socket, a loop of links
_REQUIRED = ("NDims", "DimSize", "ElementType")


def read_fields(path: Path) -> dict[str, str] | None:
    """Return the fields by key up to `ElementDataFile`, which ends a header; None if `path` is no MetaImage header.

    Does not block on a FIFO or a device; those, and a missing file, give None, too. Raises `OSError` if the file cannot
    be read.
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
    """Raise `ResourceError` unless `path` reads back with these fields and `nbytes` of voxels."""
    actual = read_fields(path)
    if actual != fields:
        raise ResourceError(
            f"{path.name}: the header reads back as {actual}, expected {fields}", remedy="check the disk, and run again"
        )
    size = (path.parent / fields[DATA_FILE]).stat().st_size
    if size != nbytes:
        raise ResourceError(
            f"{fields[DATA_FILE]}: {size} bytes, expected {nbytes} as {path.name} says",
            remedy="check the disk, and run again",
        )
