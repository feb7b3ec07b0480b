"""MetaImage in two files: a header, and the voxels as they are in memory."""

from __future__ import annotations

from pathlib import Path

from gpu_infer.choices import Format
from gpu_infer.volume.checks import Voxels
from gpu_infer.writers.formats.base import LabelFormat, LabelImage
from gpu_infer.writers.label_file import LabelFile
from gpu_infer.writers.metaimage import write_pair
from gpu_infer.writers.names import voxel_stem
from gpu_infer.writers.places import Place, metaimage_places
from gpu_infer.writers.recognise import is_header, is_voxels
from gpu_infer.writers.voxel_blocks import Slices


class Mhd(LabelFormat):
    """`<name>.mhd` and `<name>.raw`, the container's format."""

    name: Format = "mhd"

    def places(self, folder: Path, name: str) -> list[Place]:
        return metaimage_places(folder, name, "output")

    def obsolete(self, folder: Path, name: str) -> list[str]:
        """Compressed voxels that an older header names."""
        packed = f"{voxel_stem(name)}.zraw"
        return [packed] if is_voxels(folder / packed, self.path(folder, name)) else []

    def is_ours(self, path: Path) -> bool:
        return is_header(path)

    def least_bytes(self, array: Voxels | Slices) -> int:
        """0 for a label file, which becomes the file of the voxels."""
        return 0 if isinstance(array, LabelFile) else int(array.nbytes)

    def write(self, image: LabelImage, stage: Path, name: str) -> list[Path]:
        header, voxels = write_pair(image.array, image.geometry, stage, name)
        return [voxels, header]
