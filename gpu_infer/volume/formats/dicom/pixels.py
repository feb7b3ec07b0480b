"""Voxels of frames that were checked to be one grid, read slice by slice into one array of physical values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from gpu_infer.errors import InputError
from gpu_infer.volume.checks import DType, Voxels
from gpu_infer.volume.child import call_in_child
from gpu_infer.volume.follower import NO_FOLLOWER, Follower
from gpu_infer.volume.formats.dicom.codec import CODECS, Encoded, decode, decoding_threads
from gpu_infer.volume.formats.dicom.elements import uid_name
from gpu_infer.volume.formats.dicom.file import BIG_ENDIAN, DEFLATED, EXPLICIT, EXPORT, IMPLICIT, UNDEFINED_LENGTH
from gpu_infer.volume.formats.dicom.frames import Frame
from gpu_infer.volume.formats.dicom.values import fill, has_strays, stored_integers

_NATIVE = {IMPLICIT, EXPLICIT, DEFLATED, BIG_ENDIAN}
_MAX_RATIO, _SLACK = 1000, 1 << 20  # most decoded bytes of a compressed byte, and of a file of a few bytes
_DECOMPRESS = "decompress the series, with gdcmconv --raw or dcmdjpeg"
_BATCH = 1 << 28  # bytes that one child decodes; they are in memory twice


def check_sizes(frames: Sequence[Frame]) -> None:
    """Raise `InputError` unless the files have the pixels that their headers declare; nothing is allocated yet."""
    for frame in frames:
        if frame.number:  # the file was checked with its first frame
            continue
        file, count = frame.file, frame.file.frames
        expected = count * frame.pixels.nbytes
        available = file.size - file.pixels_at
        if file.syntax in CODECS:
            if expected > _MAX_RATIO * available + _SLACK:
                raise InputError(
                    f"{file.path}: found {available} compressed bytes, expected {expected} after decoding",
                    remedy=EXPORT,
                )
            continue
        if file.pixels_length == UNDEFINED_LENGTH and file.syntax in _NATIVE:
            raise InputError(
                f"{file.path}: compressed pixels in {_syntax_name(file.syntax)}, expected them uncompressed",
                remedy=EXPORT,
            )
        if file.syntax not in _NATIVE or _is_ambiguous(frame):
            raise InputError(
                f"{file.path}: pixels in {_syntax_name(file.syntax)}, expected uncompressed, RLE, JPEG, JPEG-LS or"
                " JPEG 2000",
                remedy=_DECOMPRESS,
            )
        available = min(available, file.pixels_length)
        if available < expected:
            raise InputError(
                f"{file.path}: truncated or damaged slice: found {available} bytes of pixels, expected {expected}",
                remedy=EXPORT,
            )
        if file.pixels_length >= expected + frame.pixels.nbytes:
            raise InputError(
                f"{file.path}: found {file.pixels_length} bytes of pixels, expected {expected} for {count} frames",
                remedy=EXPORT,
            )


def _is_ambiguous(frame: Frame) -> bool:
    """Whether the order of bytes depends on more than the syntax, or every frame would inflate the whole file."""
    swapped = frame.file.syntax == BIG_ENDIAN and frame.pixels.allocated != 16
    return swapped or (frame.file.syntax == DEFLATED and frame.file.frames > 1)


def working_bytes(frames: Sequence[Frame]) -> int:
    """Return the bytes that `read_pixels` takes temporarily, in this process and its child, beyond its result."""
    largest = max(f.pixels.nbytes for f in frames)
    temporary = largest + 2 * 8 * largest // min(f.pixels.allocated // 8 for f in frames)  # float64 of one frame, twice
    compressed = [f for f in frames if f.file.syntax in CODECS]
    return temporary + (2 * min(_BATCH, sum(f.pixels.nbytes for f in compressed)) + _codec_bytes(compressed))


def read_pixels(frames: Sequence[Frame], dtype: DType, notes: list[str], follower: Follower = NO_FOLLOWER) -> Voxels:
    """Read [frame, row, column] in physical units, in the order of `frames`; `dtype` is that of `value_dtype`.

    `follower` learns of the frames from the first one on up to one that is not read yet.
    """
    first = frames[0].pixels
    out = np.empty((len(frames), first.rows, first.columns), dtype)
    follower.begin(out.reshape(-1).view(np.uint8))
    done, is_read = 0, [False] * len(frames)
    strays = 0
    for n, stored in _stored_frames(frames):
        clean = stored_integers(stored, frames[n].pixels)
        strays += has_strays(stored, clean, frames[n].pixels)
        fill(out[n], clean, frames[n].rescale)
        is_read[n] = True
        while done < len(frames) and is_read[done]:
            done += 1
        follower.advance(done * out[0].nbytes)
    if strays:
        notes.append(f"bits outside those in use (BitsStored, HighBit) are set in {strays} slices: not part of values")
    return out


def _stored_frames(frames: Sequence[Frame]) -> Iterator[tuple[int, Voxels]]:
    """Yield (index in `frames`, stored integers [row, column]) in any order."""
    encoded: list[int] = []
    for n, frame in enumerate(frames):
        if frame.file.syntax in CODECS:
            encoded.append(n)
            continue
        pixels = frame.pixels
        data = frame.file.read(pixels.nbytes, frame.number * pixels.nbytes)
        if len(data) < pixels.nbytes:
            raise InputError(f"{frame.file.path}: became shorter while it was read", remedy=EXPORT)
        dtype = pixels.dtype.newbyteorder(">") if frame.file.syntax == BIG_ENDIAN else pixels.dtype
        yield n, np.frombuffer(data, dtype).reshape(pixels.rows, pixels.columns)
    if encoded:
        size = max(1, _BATCH // max(frames[n].pixels.nbytes for n in encoded))
        for at in range(0, len(encoded), size):
            batch = encoded[at : at + size]
            yield from zip(batch, _decode_frames([frames[n] for n in batch]), strict=True)


def _decode_frames(frames: Sequence[Frame]) -> list[Voxels]:
    """Return the stored integers of compressed frames, which GDCM decodes in a child process."""
    jobs = [
        Encoded(str(f.file.path), f.file.pixels_at, f.file.size, f.file.syntax, f.number, f.file.frames, *f.pixels)
        for f in frames
    ]
    memory = sum(f.pixels.nbytes for f in frames) + _codec_bytes(frames)
    _, arrays = call_in_child(decode, jobs, decoding_threads(), path=frames[0].file.path.parent, memory=memory)
    shapes = [(f.pixels.rows, f.pixels.columns) for f in frames]
    if [a.shape for a in arrays] != shapes or [a.dtype for a in arrays] != [f.pixels.dtype for f in frames]:
        raise InputError(f"{frames[0].file.path.parent}: decoded pixels do not fit the headers", remedy=EXPORT)
    return list(arrays)


def _codec_bytes(frames: Sequence[Frame]) -> int:
    """Return the bytes that the codecs take: some frames, and copies of the largest files, for every thread.

    Frames of one file share its bytes, so that fewer files than threads are in memory if there are several in each.
    """
    if not frames:
        return 0
    threads = min(decoding_threads(), len(frames))
    least = min(f.file.frames for f in frames)
    files = threads if least == 1 else min(threads, threads // least + 2, len({f.file.path for f in frames}))
    return 8 * threads * max(f.pixels.nbytes for f in frames) + 4 * files * max(f.file.size for f in frames)


def _syntax_name(syntax: str) -> str:
    return uid_name(syntax) or "an unknown transfer syntax"
