"""A folder with one DICOM series, its slices or frames checked to be one regular grid of values of one kind.

A missing slice, a tilted gantry or one slice with another rescale would shift labels in the patient: all are refused
or read as the slice itself says. pydicom parses the headers, native pixels are read here, GDCM decodes compressed ones.
"""

from __future__ import annotations

from pathlib import Path

from ..errors import InputError, ResourceError
from .dicom_elements import text
from .dicom_file import DicomFile, quiet
from .dicom_folder import holds_series, read_images
from .dicom_frames import enhanced_frames, is_multi_frame, single_frame
from .dicom_pixels import check_sizes, read_pixels
from .dicom_slices import arrange
from .dicom_values import check_alike
from .volume import Volume

__all__ = ["holds_series", "read_dicom"]


def read_dicom(folder: Path) -> Volume:
    """Volume of the one series in `folder`; file names and extensions do not matter.

    Values are in physical units, slope and intercept applied slice by slice: the smallest integer dtype that holds
    what the stored bits can say, float32 if slopes or intercepts differ or are no integers. Slices are in ascending
    order along their normal. Raises `InputError` for several series (listing them), missing or doubled slices, a
    tilted gantry, colour, values that are no linear rescale, several volumes in one file, files that look like
    slices but are none, and unreadable or truncated slices.
    """
    try:
        with quiet():
            return _read(folder)
    except MemoryError:
        raise ResourceError(f"{folder}: no memory for its voxels", remedy="free memory or crop the volume") from None


def _read(folder: Path) -> Volume:
    notes: list[str] = []
    files = read_images(folder, notes)
    multi = [file for file in files if is_multi_frame(file)]
    if multi and len(files) > 1:
        raise InputError(
            f"{multi[0].path}: multi-frame file and {len(files) - 1} other images, expected one enhanced file alone",
            remedy="keep one of them in the folder, or convert the series to .nii.gz",
        )
    where = multi[0].path if multi else folder
    frames = enhanced_frames(multi[0]) if multi else [single_frame(file) for file in files]
    _check_one_acquisition(files, folder)
    check_alike([f.rescale for f in frames], [f.plane.name for f in frames], str(where))
    order, geometry = arrange([f.plane for f in frames], where, notes)
    frames = [frames[n] for n in order]
    check_sizes(frames)
    data = read_pixels(frames, notes)
    paths = tuple(dict.fromkeys(f.file.path for f in frames))
    return Volume(data.transpose(2, 1, 0)[None], geometry, folder, "dicom", warnings=tuple(notes), files=paths)


def _check_one_acquisition(files: list[DicomFile], folder: Path) -> None:
    """All positions in one frame of reference, all values displayed alike (a mixture was edited slice by slice)."""
    for keyword in ("FrameOfReferenceUID", "PhotometricInterpretation", "Modality"):
        values = {value: file.name for file in files if (value := text(file.elements, keyword))}
        if len(values) > 1:
            first, second, *_ = values.values()
            raise InputError(
                f"{folder}: {keyword} differs between {first} and {second}",
                remedy="keep the slices of one acquisition in the folder",
            )
