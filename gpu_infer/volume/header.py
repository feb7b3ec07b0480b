"""Description of a volume before its voxels are read: enough to plan memory for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gpu_infer.redaction import reported_path
from gpu_infer.volume.checks import DType, Voxels
from gpu_infer.volume.file_state import FileState, check_unchanged
from gpu_infer.volume.follower import Follower
from gpu_infer.volume.formats.stored import StoredVoxels
from gpu_infer.volume.geometry import Geometry
from gpu_infer.volume.index_space import IndexSpace
from gpu_infer.volume.input_files import base_name
from gpu_infer.volume.nifti_grid import NiftiGrid

LoadVoxels = Callable[[list[str], Follower], Voxels]
"""Read the voxels, [C, I, J, K] in stored index order and dtype; append warnings to the list. Raises `InputError`.

The follower learns how far the array is filled, unless its values are converted afterwards."""


@dataclass(frozen=True, eq=False)
class VolumeHeader:
    """One volume, checked as far as its headers allow.

    geometry  shape (I, J, K) and affine.
    channels  length of the axis of channels.
    dtype     of the voxels in memory; int32 stands for int32 or uint32 if the file has 64-bit integers.
    path      the file or folder that was read (the first one, if the channels come from several).
    files     every file whose bytes are read; of a DICOM series one per slice, k = 0 first, or its one enhanced file.
    format    "nifti", "metaimage", "nrrd" or "dicom".
    warnings  one line each.
    load      reads the voxels.
    slope, inter  a value in physical units is `slope · stored + inter`.
    case      name of the case, "" before it is known; see `case_name`.
    series    facts of a DICOM series for the report; none of the patient.
    extra     bytes of memory that reading takes temporarily, in addition to `nbytes`.
    nifti     of a NIfTI file: the header's own fields for the grid.
    stored    where the voxels of one channel are, if their order in the file is that of the axes; None otherwise.
    states    of `files`, not later than their headers were read.
    index_space  of a DICOM series whose slices are no regular grid; `geometry` is then that of the stacked slices.
    """

    geometry: Geometry
    channels: int
    dtype: DType
    path: Path
    files: tuple[Path, ...]
    format: str
    load: LoadVoxels
    slope: float = 1.0
    inter: float = 0.0
    warnings: tuple[str, ...] = ()
    extra: int = 0
    case: str = ""
    series: Mapping[str, object] = field(default_factory=dict)
    nifti: NiftiGrid | None = None
    index_space: IndexSpace | None = None
    stored: StoredVoxels | None = None
    states: Mapping[Path, FileState] = field(default_factory=dict)

    @property
    def case_name(self) -> str:
        """The name from which the names of all outputs are made."""
        return self.case or base_name(self.path)

    @property
    def nbytes(self) -> int:
        """Bytes of the voxels in memory."""
        i, j, k = self.geometry.shape
        return self.channels * i * j * k * self.dtype.itemsize

    def check_unchanged(self) -> None:
        """Raise `InputError` if a file was replaced or written to since its header was read."""
        check_unchanged(self.states)

    def describe(self) -> dict[str, object]:
        """Return the facts of the volume for the report."""
        series: dict[str, object] = {"series": dict(self.series)} if self.series else {}
        if self.index_space is not None:
            series["index_space"] = self.index_space.reason
        return {
            "path": reported_path(self.path),
            "files": [reported_path(file) for file in self.files],
            "format": self.format,
            "shape": list(self.geometry.shape),
            "channels": self.channels,
            "dtype": str(self.dtype),
            "spacing_mm": list(self.geometry.spacing),
            "affine_ras": self.geometry.affine.tolist(),
            **series,
        }
