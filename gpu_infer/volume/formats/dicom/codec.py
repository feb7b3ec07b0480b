"""Compressed DICOM pixels, decoded by GDCM in a child process, because codecs crash on damaged streams.

GDCM reads a file that this module writes, which contains only the stream and the format of its pixels. GDCM then
returns stored integers (it would otherwise rescale them, and invert MONOCHROME1), and no other part of a foreign header
reaches it. Frames are decoded in threads: SimpleITK releases the interpreter lock, and every frame has a reader of its
own.
"""

from __future__ import annotations

import io
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID

from gpu_infer.errors import InputError
from gpu_infer.volume.checks import Voxels
from gpu_infer.volume.child import Answer

_RLE = "1.2.840.10008.1.2.5"
CODECS = {_RLE, *(f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 57, 70, 80, 81, 90, 91))}
"""Transfer syntaxes that GDCM can decode: RLE, JPEG (baseline, extended, lossless), JPEG-LS, JPEG 2000."""

_SLICE = "1.2.840.10008.5.1.4.1.1.7"  # secondary capture: a class without a rescale
_MOST_THREADS = 4
_SMALL = 4096  # pixels: GDCM refuses valid RLE streams of a few bytes, and pydicom is slow with large ones
_DAMAGED = "export the series again, or convert it to .nii.gz"


class Encoded(NamedTuple):
    """A compressed frame: its file, the offset of the file's pixels and their `frames`, and the format of integers."""

    path: str
    pixels_at: int
    size: int
    syntax: str
    number: int
    frames: int
    rows: int
    columns: int
    allocated: int
    stored: int
    high: int
    signed: bool


def decoding_threads() -> int:
    """Return the number of frames that `decode` has in work at a time."""
    return min(len(os.sched_getaffinity(0)), _MOST_THREADS)


def decode(jobs: Sequence[Encoded], threads: int = 1) -> Answer:
    """Return the stored integers [row, column] of every frame, in order.

    Raises `InputError` for the first frame that cannot be decoded.
    """
    arrays: list[Voxels] = []
    pending: deque[Future[Voxels]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for job, stream in _encoded(jobs, pending):
                pending.append(pool.submit(_decode, job, stream))
                # The first frame alone, because GDCM fills its tables with it
                while pending and len(pending) >= (threads if arrays else 1):
                    arrays.append(pending.popleft().result())
            arrays += [frame.result() for frame in pending]
        finally:
            pool.shutdown(cancel_futures=True)
    return {}, arrays


def _encoded(jobs: Sequence[Encoded], pending: deque[Future[Voxels]]) -> Iterator[tuple[Encoded, bytes]]:
    """Yield every frame with its stream. Raises `InputError`, after the errors of `pending` frames before it."""
    path, streams = "", list[bytes]()
    for job in jobs:
        if job.path != path:
            try:
                path, streams = job.path, _streams(job)
            except InputError:
                for frame in pending:
                    frame.result()
                raise
        yield job, streams[job.number]


def _streams(job: Encoded) -> list[bytes]:
    with Path(job.path).open("rb") as file:
        file.seek(job.pixels_at)
        data = file.read(job.size - job.pixels_at)
    try:
        streams = list(generate_frames(data, number_of_frames=job.frames))
    except MemoryError:
        raise
    except Exception:  # pydicom raises many types for damaged items
        raise InputError(f"{job.path}: truncated or damaged slice: broken compressed pixels", remedy=_DAMAGED) from None
    if len(streams) != job.frames:
        raise InputError(
            f"{job.path}: truncated or damaged slice: found {len(streams)} compressed frames, expected {job.frames}",
            remedy=_DAMAGED,
        )
    return streams


def _decode(job: Encoded, stream: bytes) -> Voxels:
    if job.syntax == _RLE and job.rows * job.columns <= _SMALL:
        return _decode_small(job, stream)
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    file = os.memfd_create("gpu_infer-slice")
    try:
        with os.fdopen(file, "wb") as target:
            target.write(_plain_file(job, stream))
            target.flush()
            reader.SetFileName(f"/proc/self/fd/{file}")
            image = reader.Execute()
    except RuntimeError:
        raise InputError(f"{job.path}: truncated or damaged slice: GDCM cannot decode it", remedy=_DAMAGED) from None
    array = sitk.GetArrayFromImage(image)
    expected = np.dtype(f"{'i' if job.signed else 'u'}{job.allocated // 8}")
    if array.size != job.rows * job.columns or array.dtype != expected:
        raise InputError(
            f"{job.path}: compressed pixels of {array.dtype} {array.shape}, expected {expected}"
            f" {(job.rows, job.columns)} as in the header",
            remedy=_DAMAGED,
        )
    stored: Voxels = array.reshape(job.rows, job.columns)
    return stored


def _decode_small(job: Encoded, stream: bytes) -> Voxels:
    plain = _plain_dataset(job, stream)
    plain.BitsStored, plain.HighBit = job.allocated, job.allocated - 1
    try:
        stored: Voxels = pixel_array(plain, raw=True).reshape(job.rows, job.columns)
    except MemoryError:
        raise
    except Exception:  # the decoder raises many types for damaged streams
        raise InputError(f"{job.path}: truncated or damaged slice: RLE cannot be decoded", remedy=_DAMAGED) from None
    return stored


def _plain_file(job: Encoded, stream: bytes) -> bytes:
    out = io.BytesIO()
    _plain_dataset(job, stream).save_as(out, enforce_file_format=True)
    return out.getvalue()


def _plain_dataset(job: Encoded, stream: bytes) -> Dataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID(_SLICE), UID("1.2.3")
    meta.TransferSyntaxUID = UID(job.syntax)
    ds = Dataset()
    ds.file_meta = meta
    ds.SOPClassUID, ds.SOPInstanceUID = _SLICE, "1.2.3"
    ds.Modality, ds.SamplesPerPixel, ds.PhotometricInterpretation = "OT", 1, "MONOCHROME2"
    ds.Rows, ds.Columns, ds.BitsAllocated = job.rows, job.columns, job.allocated
    ds.BitsStored, ds.HighBit, ds.PixelRepresentation = job.stored, job.high, int(job.signed)
    ds.PixelData = encapsulate([stream])
    ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    return ds
