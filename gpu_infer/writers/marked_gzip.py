"""A gzip stream with a comment in its header, by which an older output is recognised.

Any program that reads the data and writes them again makes a header of its own, so that an edited file does not count.
"""

from __future__ import annotations

import struct
import zlib
from typing import BinaryIO

_MAGIC = b"\x1f\x8b\x08"
_COMMENT_FLAG = 0x10
_LEVEL = 1
"""Probabilities are mostly equal bytes: higher levels take several times as long for a few per cent."""


class MarkedGzip:
    """Writes one gzip member to `file`; `close` ends it."""

    def __init__(self, file: BinaryIO, comment: str) -> None:
        """comment: ISO 8859-1 without a null character, as RFC 1952 requires."""
        self._file = file
        self._deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        self._crc = self._size = 0
        file.write(gzip_head(comment))

    def write(self, data: bytes | memoryview) -> None:
        """Compress bytes."""
        self._crc = zlib.crc32(data, self._crc)
        self._size += len(data)
        self._file.write(self._deflate.compress(data))

    def close(self) -> None:
        """Write what remains, and the check sum."""
        self._file.write(self._deflate.flush())
        self._file.write(struct.pack("<II", self._crc, self._size & 0xFFFFFFFF))


def gzip_head(comment: str) -> bytes:
    """The header of a member with `comment`, without a time, so that equal data make equal files."""
    unknown_system = 255
    return _MAGIC + struct.pack("<BIBB", _COMMENT_FLAG, 0, 0, unknown_system) + comment.encode("latin-1") + b"\0"
