"""A folder with one DICOM series, its slices or frames checked to be one regular grid of values of one kind.

A missing slice, a tilted gantry or one slice with another rescale would shift labels in the patient: all are refused
or read as the slice itself says. pydicom parses the headers, native pixels are read here, GDCM decodes compressed ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_infer.errors import InputError, ResourceError
from gpu_infer.volume.formats.dicom.contrast import check_one_volume
from gpu_infer.volume.formats.dicom.elements import text
from gpu_infer.volume.formats.dicom.file import DicomFile, quiet
from gpu_infer.volume.formats.dicom.folder import holds_series, read_images
from gpu_infer.volume.formats.dicom.frames import Frame, enhanced_frames, is_multi_frame, single_frame
from gpu_infer.volume.formats.dicom.pixels import check_sizes, read_pixels, working_bytes
from gpu_infer.volume.formats.dicom.slices import arrange
from gpu_infer.volume.formats.dicom.values import check_alike, value_dtype
from gpu_infer.volume.geometry import Geometry
from gpu_infer.volume.volume import Volume

__all__ = ["Series", "holds_series", "read_dicom", "read_series"]


@dataclass(frozen=True, eq=False)
class Series:
    """One series, checked as far as that goes without its pixels, and with all that its pixels will need.

    geometry  shape (I, J, K) and affine.
    dtype     of the voxels in physical units.
    frames    in ascending order along the normal.
    warnings  one line each.
    """

    geometry: Geometry
    dtype: np.dtype[Any]
    frames: tuple[Frame, ...]
    warnings: tuple[str, ...]

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(dict.fromkeys(frame.file.path for frame in self.frames))

    @property
    def extra(self) -> int:
        """Bytes of memory that reading takes in passing, more than the voxels."""
        return working_bytes(self.frames)

    def load(self, remarks: list[str]) -> NDArray[Any]:
        """Voxels [1, I, J, K]; warnings go into `remarks`. Raises `InputError`."""
        with quiet():
            return read_pixels(self.frames, self.dtype, remarks).transpose(2, 1, 0)[None]


def read_dicom(folder: Path) -> Volume:
    """Volume of the one series in `folder`; file names and extensions do not matter.

    Values are in physical units, slope and intercept applied slice by slice: the smallest integer dtype that holds
    what the stored bits can say, float32 if slopes or intercepts differ or are no integers. Slices are in ascending
    order along their normal. Raises `InputError` as `read_series` does, and for pixels that cannot be decoded.
    """
    remarks: list[str] = []
    series = read_series(folder)
    try:
        data = series.load(remarks)
    except MemoryError:
        raise ResourceError(f"{folder}: no memory for its voxels", remedy="free memory or crop the volume") from None
    return Volume(data, series.geometry, folder, "dicom", warnings=(*series.warnings, *remarks), files=series.files)


def read_series(folder: Path) -> Series:
    """The one series in `folder`, from its headers alone.

    Raises `InputError` for several series (listing them), several volumes in one (echoes, times), missing or doubled
    slices, a tilted gantry, colour, values that are no linear rescale, several volumes in one file, files that look
    like slices but are none, and unreadable or truncated slices.
    """
    notes: list[str] = []
    with quiet():
        files = read_images(folder, notes)
        multi = [file for file in files if is_multi_frame(file)]
        if multi and len(files) > 1:
            raise InputError(
                f"{multi[0].path}: multi-frame file and {len(files) - 1} other images, expected one enhanced file"
                " alone",
                remedy="keep one of them in the folder, or convert the series to .nii.gz",
            )
        where = multi[0].path if multi else folder
        frames = enhanced_frames(multi[0]) if multi else [single_frame(file) for file in files]
    _check_one_acquisition(files, folder)
    check_one_volume(files, folder)
    rescales = [frame.rescale for frame in frames]
    check_alike(rescales, [frame.plane.name for frame in frames], str(where))
    if len({rescale[:2] for rescale in rescales}) > 1:
        notes.append("rescale slope or intercept differ between slices: kept as float32")
    order, geometry = arrange([frame.plane for frame in frames], where, notes)
    check_sizes(frames)
    dtype = value_dtype([frame.pixels for frame in frames], rescales)
    return Series(geometry, dtype, tuple(frames[n] for n in order), tuple(notes))


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
