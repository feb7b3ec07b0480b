"""LoadNifti: load the input volume (NIfTI, MetaImage, …) as a field."""

from __future__ import annotations

from gpu_infer.transforms.arguments import Flag, Names, Number
from gpu_infer.transforms.base import FieldsArguments, Load
from gpu_infer.volume.geometry import Geometry, Orientation


class LoadNifti(Load):
    """Loads voxels in physical units (slope · stored + inter), in closest canonical (RAS+) axes, without resampling.

    With `as_closest_canonical` false the axes stay as stored. A fourth axis of the file is channels. With `files`, the
    channels come from several files of the input folder, which must have one grid: one name or pattern (`*_t1.nii.gz`)
    per file, in the order of the channels. `nan`, in physical units, replaces voxels that are NaN or infinite.
    """

    name = "LoadNifti"

    class Args(FieldsArguments):
        as_closest_canonical: Flag = True
        files: Names = ()
        nan: Number | None = None

    @property
    def files(self) -> tuple[str, ...]:
        files: tuple[str, ...] = self.args.files
        return files

    @property
    def nan(self) -> float | None:
        value: float | None = self.args.nan
        return value

    def orientation(self, geometry: Geometry) -> Orientation:
        return geometry.orientation if self.args.as_closest_canonical else Orientation.identity()
