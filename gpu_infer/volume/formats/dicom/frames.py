"""Slices and frames of DICOM files: each has a plane, a format of its pixels and a rescale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset

from gpu_infer.errors import InputError
from gpu_infer.volume.formats.dicom.elements import items, mosaic_tiles, number, numbers, text, uid_name, words
from gpu_infer.volume.formats.dicom.file import DicomFile
from gpu_infer.volume.formats.dicom.slices import Groups, Plane, plane
from gpu_infer.volume.formats.dicom.values import PixelFormat, Rescale, pixel_format, rescale

# Multi-frame classes whose frames carry positions: enhanced CT, MR, PET and their legacy-converted forms.
_ENHANCED = {
    "1.2.840.10008.5.1.4.1.1.2.1",
    "1.2.840.10008.5.1.4.1.1.4.1",
    "1.2.840.10008.5.1.4.1.1.130",
    "1.2.840.10008.5.1.4.1.1.2.2",
    "1.2.840.10008.5.1.4.1.1.4.4",
    "1.2.840.10008.5.1.4.1.1.128.1",
}
_SPATIAL = {"StackID", "InStackPositionNumber", "ImagePositionPatient", "SliceLocation", "ImageOrientationPatient"}
_PIXEL_DATA = 0x7FE00010
_CONVERT = "convert the series to .nii.gz"
_SPLIT = "split the file into one volume each"


class Frame(NamedTuple):
    """One plane of the volume; `number` is its index among the file's frames, from 0."""

    file: DicomFile
    number: int
    plane: Plane
    pixels: PixelFormat
    rescale: Rescale


def is_multi_frame(file: DicomFile) -> bool:
    return file.sop_class in _ENHANCED or file.frames > 1


def single_frame(file: DicomFile) -> Frame:
    """Return the slice of a classic file. Raises `InputError` for a mosaic and for pixels that cannot be read."""
    where = str(file.path)
    _check_pixels(file)
    if "MOSAIC" in words(file.elements, "ImageType") or mosaic_tiles(file.elements) > 1:
        raise InputError(
            f"{where}: mosaic, the slices of a volume as tiles of one image, expected one slice per file",
            remedy="convert the series to .nii.gz with dcm2niix",
        )
    pixels = pixel_format(file.elements, where)
    groups = Groups(file.elements, file.elements, file.elements)
    place = plane(groups, (pixels.columns, pixels.rows), where, file.name)
    return Frame(file, 0, place, pixels, rescale(file.elements, pixels, where))


def enhanced_frames(file: DicomFile) -> list[Frame]:
    """Return the frames of an enhanced file in its order, each with position, orientation, spacing and rescale.

    Raises `InputError` for other multi-frame classes, for frames without these values, and for several volumes.
    """
    where = str(file.path)
    if file.sop_class not in _ENHANCED:
        raise InputError(
            f"{where}: {file.frames} frames of class {_class_name(file)}, expected enhanced CT, MR or PET",
            remedy=_CONVERT,
        )
    _check_pixels(file)
    parts = number(file.elements, "InConcatenationTotalNumber", where, 1.0)
    if parts != 1:
        part = number(file.elements, "InConcatenationNumber", where, 1.0)
        raise InputError(
            f"{where}: part {part:g} of a concatenation of {parts:g} files, expected a whole volume", remedy=_CONVERT
        )
    pixels = pixel_format(file.elements, where)
    per_frame = items(file.elements, "PerFrameFunctionalGroupsSequence", where)
    if len(per_frame) != (count := file.frames):
        raise InputError(
            f"{where}: functional groups of {len(per_frame)} frames, expected {count}", remedy="export the file again"
        )
    shared = items(file.elements, "SharedFunctionalGroupsSequence", where)
    common = shared[0] if shared else Dataset()
    _check_one_volume(file, per_frame, common, where)
    frames = []
    for index, own in enumerate(per_frame):
        name = f"frame {index + 1}"
        place = f"{where}: {name}"
        groups = Groups(
            _group(own, common, "PlanePositionSequence", place),
            _group(own, common, "PlaneOrientationSequence", place),
            _group(own, common, "PixelMeasuresSequence", place),
        )
        values = _group(own, common, "PixelValueTransformationSequence", place)
        frames.append(
            Frame(
                file,
                index,
                plane(groups, (pixels.columns, pixels.rows), place, name),
                pixels,
                rescale(values, pixels, place),
            )
        )
    whole = rescale(file.elements, pixels, where)
    if (whole.slope, whole.intercept) != (1.0, 0.0) and any(frame.rescale[:2] != whole[:2] for frame in frames):
        raise InputError(
            f"{where}: the rescale of the whole file differs from that of its frames, expected the frames' alone",
            remedy=_CONVERT,
        )
    return frames


def _check_one_volume(file: DicomFile, per_frame: Sequence[Dataset], common: Dataset, where: str) -> None:
    """Refuse frames of several times, stacks, echoes and so on: each group would be a volume."""
    contents = [_group(own, common, "FrameContentSequence", where) for own in per_frame]
    for keyword in ("TemporalPositionIndex", "StackID"):
        values = {text(c, keyword) if keyword == "StackID" else numbers(c, keyword, where) for c in contents}
        if len(values) > 1:
            raise _several(where, len(values), keyword)
    dimensions = items(file.elements, "DimensionIndexSequence", where)
    indices = [numbers(c, "DimensionIndexValues", where) for c in contents]
    for n, dimension in enumerate(dimensions):
        pointer = numbers(dimension, "DimensionIndexPointer", where)
        keyword = keyword_for_tag(int(pointer[0]) << 16 | int(pointer[1])) if len(pointer) == 2 else ""
        different = len({values[n : n + 1] for values in indices})
        # As many values as frames belong to slices (time, trigger delay); fewer values make groups of frames.
        if keyword not in _SPATIAL and 1 < different < len(per_frame):
            raise _several(where, different, keyword or "a private dimension")


def _several(where: str, count: int, keyword: str) -> InputError:
    return InputError(f"{where}: {count} volumes in one file, they differ in {keyword}, expected one", remedy=_SPLIT)


def _group(own: Dataset, common: Dataset, keyword: str, where: str) -> Dataset:
    """Return the frame's functional group, or the one that all frames share; empty if there is none."""
    groups = items(own, keyword, where) or items(common, keyword, where)
    return groups[0] if groups else Dataset()


def _check_pixels(file: DicomFile) -> None:
    if file.pixels_tag != _PIXEL_DATA:
        raise InputError(f"{file.path}: pixels of floating point, expected integers", remedy=_CONVERT)


def _class_name(file: DicomFile) -> str:
    return uid_name(file.sop_class) or "unknown"
