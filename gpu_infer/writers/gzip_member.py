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


def write_member(file: BinaryIO, blocks: Iterable[bytes | memoryview], comment: str) -> None:
    """Write `blocks` as one gzip member; nothing but the block in work is in memory.

    The time in the header is 0, so that equal content makes equal files. `comment` is ASCII without NUL.
    """
    from isal import isal_zlib

    file.write(_MAGIC + struct.pack("<BIBB", _HAS_COMMENT, 0, 0, _UNIX) + comment.encode("ascii") + b"\0")
    stream = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, _RAW)
    checksum = nbytes = 0
    for block in blocks:
        file.write(stream.compress(block))
        checksum, nbytes = isal_zlib.crc32(block, checksum), nbytes + len(block)
    file.write(stream.flush())
    file.write(struct.pack("<II", checksum, nbytes & 0xFFFFFFFF))


def read_comment(file: BinaryIO) -> str | None:
    """Read the comment of the member that begins at the position of `file`; None without a member or a comment.

    Only members whose header has the comment alone are understood, as `write_member` writes them.
    """
    head = file.read(10)
    if len(head) < 10 or head[:3] != _MAGIC or head[3] != _HAS_COMMENT:
        return None
    text, end, _ = file.read(_LONGEST).partition(b"\0")
    return text.decode("ascii", "replace") if end else None
