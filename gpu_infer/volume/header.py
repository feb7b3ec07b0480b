"""Description of a volume before its voxels are read: enough to plan memory for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gpu_infer.volume.checks import DType, Voxels
from gpu_infer.volume.geometry import Geometry
from gpu_infer.volume.nifti_grid import NiftiGrid

LoadVoxels = Callable[[list[str]], Voxels]
"""Read the voxels, [C, I, J, K] in stored index order and dtype; append warnings to the list. Raises `InputError`."""


@dataclass(frozen=True, eq=False)
class VolumeHeader:
    """One volume, checked as far as its headers allow.

    geometry  shape (I, J, K) and affine.
    channels  length of the axis of channels.
    dtype     of the voxels in memory; int32 stands for int32 or uint32 if the file has 64-bit integers.
    path      the file or folder that was read (the first one, if the channels come from several).
    files     every file whose bytes are read.
    format    "nifti", "metaimage", "nrrd" or "dicom".
    warnings  one line each.
    load      reads the voxels.
    slope, inter  a value in physical units is `slope · stored + inter`.
    extra     bytes of memory that reading takes temporarily, in addition to `nbytes`.
    nifti     of a NIfTI file: the header's own fields for the grid.
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
    nifti: NiftiGrid | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of the voxels in memory."""
        i, j, k = self.geometry.shape
        return self.channels * i * j * k * self.dtype.itemsize

    def describe(self) -> dict[str, object]:
        """Return the facts of the volume for the report."""
        return {
            "path": str(self.path),
            "files": [str(file) for file in self.files],
            "format": self.format,
            "shape": list(self.geometry.shape),
            "channels": self.channels,
            "dtype": str(self.dtype),
            "spacing_mm": list(self.geometry.spacing),
            "affine_ras": self.geometry.affine.tolist(),
        }
