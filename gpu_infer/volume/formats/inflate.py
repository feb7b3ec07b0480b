"""Decompressors of gzip and zlib streams: ISA-L's, which takes half of zlib's time, and zlib's for rare headers."""

from __future__ import annotations

import io
import zlib
from typing import Any, Protocol, cast

_GZIP_OR_ZLIB = 47  # zlib's window bits: 15, plus 32 to detect which of the two headers the stream has
_GZIP = b"\x1f\x8b\x08"
_GZIP_HEADER = 10  # bytes before the optional fields
_TEXT, _NAME = 1, 8  # flags of a gzip header
_MODULUS = 31  # the two bytes of a zlib header are a multiple of it
_DICTIONARY = 32  # flag of a zlib header
_SMALLEST_CHUNK = 16  # bytes that isal's reader takes at least


class Decompressor(Protocol):
    """What `zlib.decompressobj` and `isal_zlib.decompressobj` return."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    @property
    def unconsumed_tail(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = 0, /) -> bytes: ...


def decompressor(head: bytes) -> Decompressor:
    """Return the decompressor for a gzip or zlib stream, whose first bytes, or all of them, are `head`.

    ISA-L reads a header check sum wrongly if it gets the header in pieces, and accepts reserved flags. zlib reads the
    streams that have one of these, and those that are neither gzip nor zlib, for which it raises an error.
    """
    if is_gzip(head) or _is_zlib(head):
        from isal import isal_zlib

        return isal_zlib.decompressobj(_GZIP_OR_ZLIB)
    return zlib.decompressobj(_GZIP_OR_ZLIB)


class MemberReader(Protocol):
    """Inflates the gzip members of a file, and verifies their check sums."""

    def readinto(self, buffer: Any, /) -> int: ...


def member_reader(file: io.RawIOBase, chunk: int) -> MemberReader | None:
    """Return a reader of the gzip members from the position of `file` to its end, which reads `chunk` bytes at once.

    It inflates into memory of the caller, which no documented function of isal does, and does not hold Python's lock
    meanwhile. It is what `isal.igzip` reads files with; a version of isal without it has None here.
    """
    from isal import isal_zlib

    make = getattr(isal_zlib, "_GzipReader", None)
    return None if make is None else cast("MemberReader", make(file, max(chunk, _SMALLEST_CHUNK)))


def errors() -> tuple[type[Exception], ...]:
    """Return the exceptions that a decompressor raises for damaged data."""
    from isal.igzip_lib import IsalError

    return zlib.error, cast("type[Exception]", IsalError)  # its stub says that it is an instance


def is_gzip(head: bytes) -> bool:
    """Return whether a gzip header without optional fields, or with a file name alone, is in `head` completely."""
    if len(head) <= _GZIP_HEADER or not head.startswith(_GZIP):
        return False
    flags = head[3] & ~_TEXT
    return flags == 0 or (flags == _NAME and b"\0" in head[_GZIP_HEADER:])


def _is_zlib(head: bytes) -> bool:
    if len(head) < 2 or head[0] & 15 != 8 or head[1] & _DICTIONARY:
        return False
    return (head[0] * 256 + head[1]) % _MODULUS == 0
