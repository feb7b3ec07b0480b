"""Read a span of bytes of a plain or a compressed file, whole or not at all.

Voxels are read into one writable buffer. A memory map is not used because a file that shrinks under a map kills the
process. A gzip file of one member is inflated straight into the buffer (`one_member`), other streams in blocks that are
copied. Files are read in pieces, so that signal handlers run between two of them.
"""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from gpu_infer.errors import InputError, ResourceError
from gpu_infer.volume.files import file_size, open_regular, unreadable
from gpu_infer.volume.follower import NO_FOLLOWER, Follower
from gpu_infer.volume.formats.inflate import decompressor, errors
from gpu_infer.volume.formats.one_member import fill_from_member

Bytes = NDArray[np.uint8]

_CHUNK = 1 << 18  # bytes of a compressed file at once
_BLOCK = 1 << 22  # bytes that one step may expand to
_PIECE = 1 << 24  # bytes of a plain file at once
_BEYOND = 1 << 20  # bytes after the voxels that are inflated to reach the check sum: padding is shorter
_EMPTY_MEMBERS = 1000  # empty gzip members in a row; block-wise packers write one, at the end
_MAX_OFFSET = 1 << 28  # bytes before compressed voxels: header and extensions are shorter
_MAX_RATIO = 1032  # no deflate stream expands by a larger factor
_ERROR_CODE = re.compile(r"Error -?\d+ (while decompressing data: )?")
_REMEDY = "the file is incomplete or damaged: copy or export it again"


def check_span(path: Path, offset: int, nbytes: int) -> None:
    """Raise `InputError` if the plain file `path` has fewer than `nbytes` bytes from `offset` on."""
    size = file_size(path) - offset
    if size < nbytes:
        raise truncation_error(path, max(size, 0), nbytes)


def fill_span(path: Path, offset: int, out: Bytes, follower: Follower = NO_FOLLOWER) -> None:
    """Fill `out` [n] from byte `offset` of the plain file `path`; `follower` learns of each piece.

    Raises `InputError`, with the actual and the expected bytes, if the file is shorter.
    """
    target, done = out.data, 0
    with open_regular(path) as file:
        try:
            file.seek(offset)
            while done < len(target) and (count := file.readinto(target[done : done + _PIECE])):
                done += count
                follower.advance(done)
        except OSError as error:
            raise unreadable(path, error) from None
    if done < len(target):
        raise truncation_error(path, done, len(target))


def check_inflatable(path: Path, offset: int, nbytes: int, *, start: int = 0) -> None:
    """Raise `InputError` if the compressed stream at byte `start` of `path` is too short for the span."""
    if offset > _MAX_OFFSET:
        raise InputError(
            f"{path}: voxels begin {offset} bytes after the start, expected at most {_MAX_OFFSET}",
            remedy="repair the header or export the volume again",
        )
    most = max(file_size(path) - start, 0) * _MAX_RATIO
    if most < offset + nbytes:
        raise truncation_error(path, max(most - offset, 0), nbytes, bound="at most ")


class InOrder(Protocol):
    """What is filled in order, from its first byte to its last: an array, or what passes the bytes on."""

    @property
    def data(self) -> Any: ...


def fill_inflated(
    path: Path,
    offset: int,
    out: InOrder,
    *,
    start: int = 0,
    notes: list[str] | None = None,
    follower: Follower = NO_FOLLOWER,
) -> None:
    """Fill `out` [n] from byte `offset` of the inflated gzip or zlib stream that starts at byte `start` of `path`.

    The stream is read to its end, through all gzip members, so that its check sum is verified, too; if more than 1 MiB
    follows the span, the rest is not read. Warnings about ignored bytes are appended to `notes`. `follower` learns of
    each block. Raises `InputError` if the stream is truncated (with the actual and the expected bytes), damaged or not
    compressed.
    """
    with open_regular(path) as file:
        if isinstance(out, np.ndarray) and _is_filled(file, _Stream(path, start, offset), out, follower):
            return
        follower.rewind(0)
        _inflate(file, _Stream(path, start, offset), out, _BEYOND, [] if notes is None else notes, follower)


def _is_filled(file: io.FileIO, source: _Stream, out: Bytes, follower: Follower) -> bool:
    try:
        return fill_from_member(file, source.start, source.offset, out, follower)
    except OSError as error:
        raise unreadable(source.path, error) from None


def read_head(path: Path, nbytes: int, *, compressed: bool) -> bytes:
    """Read the first bytes of a plain or compressed file, at most `nbytes`. Raises `InputError`."""
    out = np.zeros(nbytes, np.uint8)
    with open_regular(path) as file:
        if not compressed:
            return file.read(nbytes)
        count = _inflate(file, _Stream(path), out, -1, [])
    return out[:count].tobytes()


def allocate(path: Path, nbytes: int) -> Bytes:
    """Return an array uint8 [nbytes]. Raises `ResourceError` if there is no memory."""
    try:
        return np.empty(nbytes, np.uint8)
    except (MemoryError, ValueError):
        raise ResourceError(
            f"{path}: no memory for {nbytes / 2**20:.0f} MiB of voxels", remedy="free memory or crop the volume"
        ) from None


class _Stream(NamedTuple):
    """A gzip or zlib stream at byte `start` of `path`, whose first `offset` inflated bytes are dropped."""

    path: Path
    start: int = 0
    offset: int = 0


def _inflate(
    file: BinaryIO,
    source: _Stream,
    out: InOrder,
    beyond: int,
    notes: list[str],
    follower: Follower = NO_FOLLOWER,
) -> int:
    """Inflate `source`, which `file` has open, into `out`, and return the number of bytes written to `out`.

    beyond  bytes, inflated or not, that may follow before reading stops; -1: stop at once, also if the stream is short
    """
    path, start, offset = source
    target = out.data
    position = -offset  # index in `out` of the next inflated byte
    full_at = -1  # position in the compressed file at the time when `out` was full
    empty = 0  # empty gzip members in a row
    try:
        file.seek(start)
        chunk = file.read(_CHUNK)
        stream = decompressor(chunk)
        while True:
            if stream.eof:  # zeros may follow (tapes and object stores pad with them), or another member
                chunk = stream.unused_data.lstrip(b"\0")
                padded_from = file.tell()
                # a sparse file may have terabytes of zeros
                while not chunk and file.tell() - padded_from < _BEYOND and (more := file.read(_CHUNK)):
                    chunk = more.lstrip(b"\0")
                if chunk[:1] != b"\x1f":
                    if chunk:
                        notes.append("bytes after the compressed stream are ignored")
                    break
                empty += 1
                chunk += file.read(max(_CHUNK - len(chunk), 0))  # may have had a part of the header only
                stream = decompressor(chunk)
            elif not chunk:
                chunk = file.read(_CHUNK)
            # for a header, no byte after it is inflated
            block = stream.decompress(chunk, _BLOCK if beyond >= 0 else max(len(target) - position, 1))
            empty = 0 if block else empty
            ended = not chunk and not block  # the decompressor has no more inflated bytes, either
            chunk = stream.unconsumed_tail
            low, high = max(-position, 0), min(len(block), len(target) - position)
            if low < high:
                target[position + low : position + high] = memoryview(block)[low:high]
                follower.advance(position + high)
            position += len(block)
            if position >= len(target) and beyond < 0:
                return len(target)
            if position >= len(target):
                full_at = file.tell() if full_at < 0 else full_at
                if max(position - len(target), file.tell() - full_at) > beyond or empty > _EMPTY_MEMBERS:
                    notes.append("more than 1 MiB follows the voxels: ignored, the check sum is not verified")
                    return len(target)
            elif empty > _EMPTY_MEMBERS:
                if beyond < 0:
                    break
                raise InputError(f"{path}: more than {_EMPTY_MEMBERS} empty gzip members in a row", remedy=_REMEDY)
            if ended and not stream.eof:
                break
    except OSError as error:
        raise unreadable(path, error) from None
    except errors() as error:
        text = _ERROR_CODE.sub("", str(error)).lower()
        raise InputError(f"{path}: damaged compressed data: {text}", remedy=_REMEDY) from None
    if beyond >= 0 and position >= len(target) and not stream.eof:
        raise InputError(f"{path}: truncated: the compressed stream lacks its end and check sum", remedy=_REMEDY)
    if beyond >= 0 and position < len(target):
        raise truncation_error(path, max(position, 0), len(target))
    return min(max(position, 0), len(target))


def truncation_error(path: Path, nbytes: int, expected: int, *, bound: str = "") -> InputError:
    """The error of a file that has `nbytes` bytes of voxels instead of `expected`."""
    return InputError(f"{path}: truncated: found {bound}{nbytes} bytes of voxels, expected {expected}", remedy=_REMEDY)
