"""A span of bytes out of a plain or a compressed file, whole or not at all.

Voxels are read in one go into one writable buffer: no memory map, because a file that shrinks under a map
kills the process, and no file object between zlib and the buffer, because that copies every byte twice.
"""

from __future__ import annotations

import logging
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, ResourceError

logger = logging.getLogger(__name__)

Bytes = NDArray[np.uint8]

_CHUNK = 1 << 18
_GZIP_OR_ZLIB = 47  # zlib's window bits: 15, plus 32 to detect which of the two headers there is
_MAX_RATIO = 1032  # no deflate stream expands by more
_REMEDY = "the file is incomplete or damaged: copy or export it again"


def read_span(path: Path, offset: int, nbytes: int) -> Bytes:
    """uint8 [nbytes] from byte `offset` of `path`.

    Raises `InputError` with the bytes found and expected when the file is shorter, `ResourceError` without
    memory.
    """
    try:
        found = path.stat().st_size - offset
        if found < nbytes:
            raise _truncated(path, max(found, 0), nbytes)
        span = np.fromfile(path, dtype=np.uint8, count=nbytes, offset=offset)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}", remedy="check the file's permissions") from None
    except MemoryError:
        raise _no_memory(path, nbytes) from None
    if span.size < nbytes:
        raise _truncated(path, span.size, nbytes)
    return span


def inflate_span(path: Path, offset: int, nbytes: int, *, start: int = 0) -> Bytes:
    """uint8 [nbytes] from byte `offset` of what the gzip or zlib stream at byte `start` of `path` expands to.

    The stream is read to its end, all gzip members of it, so that its check sum is verified as well. Raises
    `InputError` when it is truncated (with bytes found and expected), damaged or not compressed at all.
    """
    try:
        if (path.stat().st_size - start) * _MAX_RATIO < nbytes:
            raise _truncated(path, (path.stat().st_size - start) * _MAX_RATIO, nbytes, bound="at most ")
        out = np.empty(nbytes, np.uint8)
        done = _inflate(path, start, offset, out)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}", remedy="check the file's permissions") from None
    except zlib.error as error:
        text = str(error).rsplit(": ", 1)[-1]
        raise InputError(f"{path}: damaged compressed data: {text}", remedy=_REMEDY) from None
    except MemoryError:
        raise _no_memory(path, nbytes) from None
    if done < nbytes:
        raise _truncated(path, done, nbytes)
    return out


def _inflate(path: Path, start: int, offset: int, out: Bytes) -> int:
    """Expand into `out`, leaving `offset` bytes away in front; the number of bytes put there."""
    target = out.data
    position = -offset  # where the next expanded byte goes in `out`
    stream = zlib.decompressobj(_GZIP_OR_ZLIB)
    with path.open("rb") as file:
        file.seek(start)
        chunk = file.read(_CHUNK)
        while chunk:
            if stream.eof:
                chunk = chunk.lstrip(b"\0")  # tapes and object stores pad with zeros; gzip allows that
                if chunk and chunk[:1] != b"\x1f":
                    logger.warning("%s: bytes after the compressed stream are ignored", path)
                    break
                if chunk:
                    stream = zlib.decompressobj(_GZIP_OR_ZLIB)
                else:
                    chunk = file.read(_CHUNK)
                    continue
            block = stream.decompress(chunk)
            low, high = max(-position, 0), min(len(block), len(target) - position)
            if low < high:
                target[position + low : position + high] = memoryview(block)[low:high]
            position += len(block)
            chunk = stream.unused_data or file.read(_CHUNK)
    if not stream.eof:
        if position >= len(target):
            raise InputError(f"{path}: truncated: the compressed stream lacks its end and check sum", remedy=_REMEDY)
        raise _truncated(path, max(position, 0), len(target))
    return min(max(position, 0), len(target))


def _truncated(path: Path, found: int, expected: int, *, bound: str = "") -> InputError:
    return InputError(f"{path}: truncated: found {bound}{found} bytes of voxels, expected {expected}", remedy=_REMEDY)


def _no_memory(path: Path, nbytes: int) -> ResourceError:
    return ResourceError(
        f"{path}: no memory for {nbytes / 2**20:.0f} MiB of voxels", remedy="free memory or crop the volume"
    )
