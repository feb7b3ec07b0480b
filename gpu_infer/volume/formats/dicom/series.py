"""A folder with one DICOM series, whose slices or frames are checked to be one regular grid of values of one kind.

A missing slice, a tilted gantry or a slice with another rescale would give wrong labels or labels in wrong places: they
are refused, or each slice is read with its own values. pydicom parses the headers, `pixels` reads native pixels, and
GDCM decodes compressed ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gpu_infer.choices import Tilt
from gpu_infer.errors import InputError, ResourceError
from gpu_infer.volume.checks import DType, Voxels
from gpu_infer.volume.file_state import FileState
from gpu_infer.volume.follower import NO_FOLLOWER, Follower
from gpu_infer.volume.formats.dicom.contrast import check_one_volume
from gpu_infer.volume.formats.dicom.elements import text
from gpu_infer.volume.formats.dicom.file import DicomFile, quiet
from gpu_infer.volume.formats.dicom.folder import files_in, holds_series, one_series, read_files, read_images
from gpu_infer.volume.formats.dicom.frames import Frame, enhanced_frames, is_multi_frame, single_frame
from gpu_infer.volume.formats.dicom.pixels import check_sizes, read_pixels, working_bytes
from gpu_infer.volume.formats.dicom.slices import arrange
from gpu_infer.volume.formats.dicom.values import check_alike, value_dtype
from gpu_infer.volume.geometry import Geometry
from gpu_infer.volume.index_space import IndexSpace
from gpu_infer.volume.volume import Volume

__all__ = ["Series", "holds_series", "read_dicom", "read_series"]


@dataclass(frozen=True, eq=False)
class Series:
    """One series, checked as far as its headers allow.

    geometry     shape (I, J, K) and affine.
    dtype        of the voxels in physical units.
    frames       in ascending order along the normal.
    warnings     one line each.
    index_space  set if the slices are no regular grid.
    """

    geometry: Geometry
    dtype: DType
    frames: tuple[Frame, ...]
    warnings: tuple[str, ...]
    index_space: IndexSpace | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """One file per slice in the order of the slices, k = 0 first; the one file of an enhanced series."""
        return tuple(dict.fromkeys(frame.file.path for frame in self.frames))

    @property
    def states(self) -> dict[Path, FileState]:
        """Of `files`, when their headers were read."""
        return {frame.file.path: frame.file.state for frame in self.frames}

    @property
    def extra(self) -> int:
        """Bytes of memory that reading takes temporarily, in addition to the voxels."""
        return working_bytes(self.frames)

    def load(self, remarks: list[str], follower: Follower = NO_FOLLOWER) -> Voxels:
        """Read the voxels [1, I, J, K] and append warnings to `remarks`. Raises `InputError`."""
        with quiet():
            return read_pixels(self.frames, self.dtype, remarks, follower).transpose(2, 1, 0)[None]


def read_dicom(folder: Path) -> Volume:
    """Read the one series in `folder` as a volume; file names and extensions do not matter.

    Values are in physical units, with each slice's slope and intercept: in the smallest integer dtype for all values
    that the stored bits can represent, or in float32 if slopes or intercepts differ or are no integers. Slices are in
    ascending order along their normal. Raises `InputError` as `read_series` does, and if pixels cannot be decoded.
    """
    remarks: list[str] = []
    series = read_series(folder)
    try:
        data = series.load(remarks)
    except MemoryError:
        raise ResourceError(f"{folder}: no memory for its voxels", remedy="free memory or crop the volume") from None
    return Volume(data, series.geometry, folder, "dicom", warnings=(*series.warnings, *remarks), files=series.files)


def read_series(folder: Path) -> Series:
    """Read the headers of the one series in `folder`.

    Raises `InputError` for several series (the error lists them), several volumes in one (echoes, times), missing or
    doubled slices, a tilted gantry, colour, values that are no linear rescale, several volumes in one file, files that
    look like slices but are none, and unreadable or truncated slices.
    """
    notes: list[str] = []
    with quiet():
        return make_series(folder, read_images(folder, notes), notes)


def read_folder(folder: Path, tilt: Tilt = "refuse") -> Series | None:
    """Read the headers of the series in `folder` as `read_series` does; None if it has no image, or several series.

    tilt  "index": irregular slices are stacked in index space
    """
    notes: list[str] = []
    with quiet():
        images, others = read_files(files_in(folder))
        has_cut = any(file is not None and file.is_image for _, file, _ in others)
        if len({file.series for file in images}) > 1 or not (images or has_cut):
            return None
        return make_series(folder, one_series(folder, images, others, notes), notes, tilt)


def make_series(folder: Path, files: Sequence[DicomFile], notes: list[str], tilt: Tilt = "refuse") -> Series:
    """Check the images of one series in `folder`, and put them in order; as `read_series` does. Call it in `quiet()`.

    notes  warnings so far
    tilt   "index": irregular slices are stacked in index space
    """
    multi = [file for file in files if is_multi_frame(file)]
    if multi and len(files) > 1:
        raise InputError(
            f"{multi[0].path}: multi-frame file and {len(files) - 1} other images, expected one enhanced file alone",
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
    order, geometry, index_space = arrange([frame.plane for frame in frames], where, notes, tilt)
    check_sizes(frames)
    dtype = value_dtype([frame.pixels for frame in frames], rescales)
    return Series(geometry, dtype, tuple(frames[n] for n in order), tuple(notes), index_space)


def _check_one_acquisition(files: Sequence[DicomFile], folder: Path) -> None:
    """Refuse several frames of reference, modalities or photometric interpretations: such a mixture is no scan."""
    for keyword in ("FrameOfReferenceUID", "PhotometricInterpretation", "Modality"):
        values = {value: file.name for file in files if (value := text(file.elements, keyword))}
        if len(values) > 1:
            first, second, *_ = values.values()
            raise InputError(
                f"{folder}: {keyword} differs between {first} and {second}",
                remedy="keep the slices of one acquisition in the folder",
            )
