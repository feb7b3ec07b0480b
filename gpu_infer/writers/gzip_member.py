"""One gzip member with a comment, compressed by ISA-L; and the comment of a file.

Programs that rewrite a compressed file begin a new member, without the comment: it marks files that nobody has changed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import BinaryIO

LEVEL = 1
"""Of ISA-L's 0 to 3: 3 is slower and its files are larger (bench/formats.py)."""

_MAGIC = b"\x1f\x8b\x08"
_HAS_COMMENT = 16
_UNIX = 3
_RAW = -15
"""Window bits of a deflate stream without a header of its own."""

_LONGEST = 80


class GzipMember:
    """Writes one gzip member to `file`; `close` ends it. Nothing but the block in work is in memory."""

    def __init__(self, file: BinaryIO, comment: str) -> None:
        """comment: ASCII without NUL."""
        from isal import isal_zlib

        self._file, self._crc32 = file, isal_zlib.crc32
        self._stream = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, _RAW)
        self._checksum = self._nbytes = 0
        file.write(member_head(comment))

    def write(self, block: bytes | memoryview) -> None:
        """Compress a contiguous block of bytes."""
        self._checksum, self._nbytes = self._crc32(block, self._checksum), self._nbytes + len(block)
        self._file.write(self._stream.compress(block))

    def close(self) -> None:
        """Write what remains, and the checksum."""
        self._file.write(self._stream.flush())
        self._file.write(struct.pack("<II", self._checksum, self._nbytes & 0xFFFFFFFF))


def write_member(file: BinaryIO, blocks: Iterable[bytes | memoryview], comment: str) -> None:
    """Write `blocks` as one gzip member with `comment`."""
    member = GzipMember(file, comment)
    for block in blocks:
        member.write(block)
    member.close()


def member_head(comment: str) -> bytes:
    """The header of a member with `comment`, without a time, so that equal content makes equal files."""
    return _MAGIC + struct.pack("<BIBB", _HAS_COMMENT, 0, 0, _UNIX) + comment.encode("ascii") + b"\0"


def read_comment(file: BinaryIO) -> str | None:
    """Read the comment of the member that begins at the position of `file`; None without a member or a comment.

    Only members whose header has the comment alone are understood, as `write_member` writes them.
    """
    head = file.read(10)
    if len(head) < 10 or head[:3] != _MAGIC or head[3] != _HAS_COMMENT:
        return None
    text, end, _ = file.read(_LONGEST).partition(b"\0")
    return text.decode("ascii", "replace") if end else None
