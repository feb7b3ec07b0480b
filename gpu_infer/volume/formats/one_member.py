"""Inflate a gzip file that is one member straight into an array: no block is copied, and Python's lock is free.

Nearly every .nii.gz and gzip NRRD is stored like this. What is unusual about a file, from a rare header to damage, is
the part of `spans.fill_inflated`, which reads the file again from its start.
"""

from __future__ import annotations

import io
import os
import struct
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gpu_infer.volume.follower import NO_FOLLOWER, Follower
from gpu_infer.volume.formats.inflate import MemberReader, errors, is_gzip, member_reader

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_HEAD = 1 << 12  # bytes of the file that have to contain the header
_CHUNK = 1 << 23  # bytes of the file at once
_BLOCK = 1 << 27  # inflated bytes at once, unless a follower wants fewer: about 0.1 s
_SIZE = struct.Struct("<I")  # the end of a member: its inflated bytes modulo 2³²


def fill_from_member(
    file: io.FileIO, start: int, offset: int, out: NDArray[np.uint8], follower: Follower = NO_FOLLOWER
) -> bool:
    """Fill `out` [n] from inflated byte `offset` on, if the bytes from `start` to the end of `file` are one member.

    Returns whether `out` is filled, no inflated byte follows, and the check sum is right; if not, the values of `out`
    have no meaning, whatever `follower` has learned. Raises `OSError` if the file cannot be read.
    """
    if not _may_be_member(file, start, offset + out.size):
        return False
    end = file.seek(0, os.SEEK_END)
    file.seek(start)
    reader = member_reader(_Chunks(file), min(_CHUNK, end - start))
    if reader is None:
        return False
    try:
        if not (_skip(reader, offset) and _fill(reader, out.data, follower)):
            return False
        if end - file.tell() > _CHUNK:  # of blocks without content
            return False
        return reader.readinto(bytearray(1)) == 0
    except (EOFError, OverflowError):
        return False
    except errors():
        return False
    except OSError as error:
        if error.errno is None:  # gzip.BadGzipFile, of a wrong check sum or bytes that are no member
            return False
        raise


class _Chunks(io.RawIOBase):
    """Reads from a file; its method is Python's, so that signal handlers run when isal calls it."""

    def __init__(self, file: io.FileIO) -> None:
        self._file = file

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        return self._file.readinto(buffer) or 0


def _may_be_member(file: io.FileIO, start: int, size: int) -> bool:
    """Whether the header is a usual one, and the last bytes of the file are the end of a member of `size` bytes.

    They are others if padding, other bytes or another member follow. A size of zero could be padding.
    """
    file.seek(start)
    if not is_gzip(file.read(_HEAD)):
        return False
    end = file.seek(0, os.SEEK_END)
    file.seek(max(end - _SIZE.size, 0))
    expected = size % (1 << 32)
    return expected != 0 and file.read(_SIZE.size) == _SIZE.pack(expected)


def _skip(reader: MemberReader, offset: int) -> bool:
    scratch = memoryview(bytearray(min(offset, _CHUNK)))
    while offset and (count := reader.readinto(scratch[:offset])):
        offset -= count
    return offset == 0


def _fill(reader: MemberReader, target: memoryview, follower: Follower) -> bool:
    done, block = 0, min(_BLOCK, follower.step)
    while done < len(target) and (count := reader.readinto(target[done : done + block])):
        done += count
        follower.advance(done)
    return done == len(target)
