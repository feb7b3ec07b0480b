"""A volume as it is stored: voxels in their stored dtype and index order, with geometry and scaling."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from gpu_infer.volume.checks import DType, Voxels
from gpu_infer.volume.geometry import Geometry


@dataclass(frozen=True, eq=False)
class Volume:
    """One image of one or more channels.

    data        [C, I, J, K] in stored index order and stored dtype; any strides, either byte order. A value in
                physical units is `slope · stored + inter`.
    geometry    shape (I, J, K) and affine.
    path        the file or folder that was read (the first one, if the channels come from several).
    format      "nifti", "metaimage", "nrrd" or "dicom".
    warnings    one line each; logged, and part of the run's report.
    files       every file whose bytes were read.
    not_finite  number of voxels that are NaN or infinite.
    """

    data: Voxels
    geometry: Geometry
    path: Path
    format: str
    slope: float = 1.0
    inter: float = 0.0
    warnings: tuple[str, ...] = ()
    files: tuple[Path, ...] = field(default=())
    not_finite: int = 0

    @property
    def channels(self) -> int:
        return int(self.data.shape[0])

    @property
    def dtype(self) -> DType:
        return self.data.dtype

    @property
    def nbytes(self) -> int:
        return int(self.data.size) * self.data.dtype.itemsize
