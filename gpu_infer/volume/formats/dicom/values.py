"""From stored bits to values in physical units: the rescale of a file or a frame, and a check that all of them agree.

A value is `slope · stored + intercept`, with the numbers of its slice. MONOCHROME1 is about the display and changes no
value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from pydicom.dataset import Dataset

from gpu_infer.errors import InputError
from gpu_infer.volume.checks import DType, Voxels
from gpu_infer.volume.formats.dicom.elements import integer, items, number, numbers, raw, text

_INTEGERS = ("uint8", "int8", "int16", "uint16", "int32", "uint32")
_COLOURS = ("MONOCHROME1", "MONOCHROME2", "RGB", "PALETTE COLOR", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT")
_LARGEST = 1e28  # limit of slope and intercept: products stay inside float32's range
_REMEDY = "keep the slices of one acquisition in the folder, or convert the series to .nii.gz"
_CONVERT = "convert the series to .nii.gz with the values that you mean"


class PixelFormat(NamedTuple):
    """Format of a frame's integers in the file; `high` is the number of the highest bit in use."""

    rows: int
    columns: int
    allocated: int
    stored: int
    high: int
    signed: bool

    @property
    def nbytes(self) -> int:
        return self.rows * self.columns * self.allocated // 8

    @property
    def dtype(self) -> DType:
        return np.dtype(f"{'i' if self.signed else 'u'}{self.allocated // 8}")

    @property
    def range(self) -> tuple[int, int]:
        """Smallest and largest integer that the bits in use can represent."""
        return (-(1 << self.stored - 1), (1 << self.stored - 1) - 1) if self.signed else (0, (1 << self.stored) - 1)


class Rescale(NamedTuple):
    """value = slope · stored + intercept, of stored integers clipped to `limits`; `unit` as RescaleType names it."""

    slope: float = 1.0
    intercept: float = 0.0
    unit: str = ""
    limits: tuple[int, int] | None = None
    is_present: bool = False


def pixel_format(elements: Dataset, where: str) -> PixelFormat:
    """Return the format of a file's pixels. Raises `InputError` for colour and for numbers of bits that contradict."""
    samples = number(elements, "SamplesPerPixel", where, 1.0)
    photometric = text(elements, "PhotometricInterpretation")
    if samples != 1 or photometric not in ("MONOCHROME1", "MONOCHROME2"):
        known = photometric if photometric in _COLOURS else "unknown"
        raise InputError(
            f"{where}: colour images, found SamplesPerPixel {samples:g} and PhotometricInterpretation"
            f" {known}, expected one MONOCHROME sample per pixel",
            remedy="give the original series",
        )
    names = ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation")
    rows, columns, allocated, stored, high, sign = (integer(elements, name, where) for name in names)
    if rows < 1 or columns < 1:
        raise InputError(f"{where}: {rows} rows and {columns} columns, expected at least one", remedy=_CONVERT)
    if allocated not in (8, 16, 32) or not 1 <= stored <= high + 1 <= allocated or sign not in (0, 1):
        raise InputError(
            f"{where}: BitsAllocated {allocated}, BitsStored {stored}, HighBit {high}, PixelRepresentation {sign},"
            " expected 8, 16 or 32 bits with those in use inside, and 0 or 1",
            remedy=_CONVERT,
        )
    return PixelFormat(rows, columns, allocated, stored, high, bool(sign))


def rescale(elements: Dataset, pixels: PixelFormat, where: str) -> Rescale:
    """Return the rescale of `elements`, which are a file's or a frame's.

    Raises `InputError` for a look-up table that is no straight line and for a slope of 0.
    """
    slope, intercept = (number(elements, name, where) for name in ("RescaleSlope", "RescaleIntercept"))
    unit = text(elements, "RescaleType") or text(elements, "Units")
    if number(elements, "DoseGridScaling", where) is not None:
        raise InputError(f"{where}: doses scaled by DoseGridScaling, expected an image", remedy="give the image series")
    table = items(elements, "ModalityLUTSequence", where)
    is_present = slope is not None or intercept is not None
    if table:
        if is_present and (slope, intercept) != (1.0, 0.0):
            raise InputError(f"{where}: both a Modality LUT and a rescale, expected one of them", remedy=_CONVERT)
        return _line(table, pixels, unit, where)
    slope = 1.0 if slope is None else slope
    intercept = 0.0 if intercept is None else intercept
    if slope == 0 or max(abs(slope), abs(intercept)) > _LARGEST:
        raise InputError(
            f"{where}: RescaleSlope {slope:g} and RescaleIntercept {intercept:g}, expected a slope that is not 0"
            f" and numbers below {_LARGEST:g}",
            remedy="repair the header",
        )
    return Rescale(slope, intercept, unit, None, is_present)


def check_alike(rescales: Sequence[Rescale], names: Sequence[str], where: str) -> None:
    """Raise `InputError` if only some frames have a rescale or a look-up table, or if their units differ."""
    missing = [name for name, r in zip(names, rescales, strict=True) if not r.is_present]
    if missing and any(r[:2] != (1.0, 0.0) for r in rescales):
        raise InputError(
            f"{where}: no RescaleSlope and RescaleIntercept in {len(missing)} of {len(names)} ({missing[0]}),"
            " expected them in all or none",
            remedy=_REMEDY,
        )
    units = {r.unit: name for name, r in zip(names, rescales, strict=True) if r.unit}
    if len(units) > 1:
        first, second, *_ = units.values()
        raise InputError(f"{where}: units of values differ between {first} and {second}", remedy=_REMEDY)


def value_dtype(formats: Sequence[PixelFormat], rescales: Sequence[Rescale]) -> DType:
    """Return the dtype of values in physical units.

    It is float32 if slopes or intercepts differ or are no integers, else the smallest integer type for all values that
    the bits in use can represent, or float64 if 32 bits are too few.
    """
    lines = {(r.slope, r.intercept) for r in rescales}
    if len(lines) > 1 or not all(float(v).is_integer() for v in next(iter(lines))):
        return np.dtype(np.float32)
    slope, intercept = map(int, next(iter(lines)))
    ranges = {r.limits or f.range for f, r in zip(formats, rescales, strict=True)}
    ends = [slope * v + intercept for low_high in ranges for v in low_high]
    for name in _INTEGERS:
        limits = np.iinfo(name)
        if limits.min <= min(ends) and max(ends) <= limits.max:
            return np.dtype(name)
    return np.dtype(np.float64)


def stored_integers(data: Voxels, pixels: PixelFormat) -> Voxels:
    """Return the integers of the bits in use; other bits (overlays, noise) are no part of a value."""
    below = pixels.high + 1 - pixels.stored
    above = pixels.allocated - 1 - pixels.high
    if not below and not above:
        return data
    return (data << above) >> (above + below)  # the shift to the right carries the sign of signed integers


def has_strays(data: Voxels, clean: Voxels, pixels: PixelFormat) -> bool:
    """Whether bits outside those in use are set; copies of the sign above it do not count."""
    if clean is data or np.array_equal(clean, data):
        return False
    unsigned = data.astype(f"u{data.itemsize}")
    in_use = ((1 << pixels.stored) - 1) << (pixels.high + 1 - pixels.stored)
    outside = (unsigned & np.array(~in_use & ((1 << pixels.allocated) - 1), unsigned.dtype)) != 0
    return bool((outside & (clean != data)).any())


def fill(out: Voxels, stored: Voxels, scaling: Rescale) -> None:
    """Write slope · stored + intercept to `out`, an array of `value_dtype`."""
    if scaling.limits is not None:
        stored = np.clip(stored, *scaling.limits)
    if out.dtype.kind == "f":
        out[...] = stored.astype(np.float64) * scaling.slope + scaling.intercept
        return
    # Modulo 2ⁿ: intermediate results may overflow the type, final ones do not.
    out[...] = stored
    if scaling.slope != 1:
        out *= np.array(int(scaling.slope)).astype(out.dtype)
    if scaling.intercept != 0:
        out += np.array(int(scaling.intercept)).astype(out.dtype)


def _line(table: Sequence[Dataset], pixels: PixelFormat, unit: str, where: str) -> Rescale:
    descriptor = numbers(table[0], "LUTDescriptor", where)
    order = "<" if table[0].original_encoding[1] is not False else ">"
    data = np.frombuffer(raw(table[0], "LUTData")[: 1 << 18], np.uint8)
    if len(table) != 1 or len(descriptor) != 3 or descriptor[2] not in (8, 16):
        raise InputError(f"{where}: damaged Modality LUT Sequence", remedy=_CONVERT)
    count = int(descriptor[0]) or 1 << 16
    first = int(descriptor[1]) - (1 << 16 if pixels.signed and descriptor[1] >= 1 << 15 else 0)
    if data.size == 2 * count:
        entries = data.view(f"{order}u2").astype(np.int64)
    elif data.size in (count, count + count % 2) and descriptor[2] == 8:
        entries = data[:count].astype(np.int64)
    else:
        raise InputError(f"{where}: Modality LUT of {data.size} bytes, expected {count} entries", remedy=_CONVERT)
    steps = np.diff(entries)
    low, high = max(first, pixels.range[0]), min(first + count - 1, pixels.range[1])
    if low > high:
        raise InputError(f"{where}: Modality LUT from {first} on, expected one for stored values", remedy=_CONVERT)
    if not steps.size or not steps[0] or (steps != steps[0]).any():
        raise InputError(
            f"{where}: Modality LUT that is no straight line, expected a slope and an intercept", remedy=_CONVERT
        )
    slope = int(steps[0])
    unit = text(table[0], "ModalityLUTType") or unit
    return Rescale(slope, int(entries[0]) - slope * first, unit, (low, high), True)
