"""What a format of label maps defines."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gpu_infer.choices import Format
from gpu_infer.label_table.table import LabelTable
from gpu_infer.volume.checks import Voxels
from gpu_infer.volume.geometry import Geometry
from gpu_infer.volume.nifti_grid import NiftiGrid
from gpu_infer.writers.places import Place

MARK = "gpu_infer labels"
"""In each file, at a place that other programs do not copy when they save it again."""


@dataclass(frozen=True, eq=False)
class LabelImage:
    """A label map as it is written.

    array     [I, J, K] integers in stored index order and in the dtype of the file, any strides
    geometry  its shape equals the array's
    table     names, colours and codes of the labels
    nifti     grid of a NIfTI input as its header has it
    """

    array: Voxels
    geometry: Geometry
    table: LabelTable = field(default_factory=LabelTable)
    nifti: NiftiGrid | None = None


class LabelFormat(ABC):
    """One format: its files, and how they are written and recognised."""

    name: Format
    """Also the extension of the file that programs open, without the dot."""

    def path(self, folder: Path, name: str) -> Path:
        """The file that programs open."""
        return folder / f"{name}.{self.name}"

    def places(self, folder: Path, name: str) -> list[Place]:
        """Places of all files of a label map, the one that programs open first."""
        return [
            Place(self.path(folder, name), f"a label map that gpu_infer wrote as .{self.name}", "output", self.is_ours)
        ]

    def obsolete(self, folder: Path, name: str) -> list[str]:
        """Names of further files of an older output, which are removed when a new one appears."""
        return []

    def refusal(self, geometry: Geometry) -> str | None:
        """Why the format cannot contain this grid; None if it can."""
        return None

    def warning(self, geometry: Geometry, nifti: NiftiGrid | None) -> str | None:
        """What users should know about the files of this grid, for a line that begins with their name; None: nothing.

        nifti  of a NIfTI input
        """
        return None

    def least_bytes(self, array: Voxels) -> int:
        """Smallest possible size of the files."""
        return int(array.nbytes)

    @abstractmethod
    def is_ours(self, path: Path) -> bool:
        """Whether the regular file at `path` is unchanged since this program wrote it, as far as its mark shows."""

    @abstractmethod
    def write(self, image: LabelImage, stage: Path, name: str) -> Sequence[Path]:
        """Write the files into a folder that no other process uses; the one that programs open is the last.

        Raises `ResourceError` if a file reads back differently, and `OSError`.
        """
