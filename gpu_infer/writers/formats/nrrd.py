"""NRRD: a text header, an empty line, and the voxels as one gzip member."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from gpu_infer.choices import Format
from gpu_infer.volume.checks import DType, Voxels
from gpu_infer.volume.geometry import Geometry
from gpu_infer.writers.formats.base import MARK, LabelFormat, LabelImage
from gpu_infer.writers.gzip_member import read_comment, write_member
from gpu_infer.writers.voxel_blocks import voxel_blocks

MOST_RATIO = 1032
"""Deflate's largest ratio of compression."""

_HEADER_LIMIT = 1 << 22
_MAGIC = b"NRRD"
_LPS_FROM_RAS = np.array([-1.0, -1.0, 1.0])


class Nrrd(LabelFormat):
    """`<name>.nrrd`. The gzip member's comment is the mark; it has a checksum of the header before it."""

    name: Format = "nrrd"

    def is_ours(self, path: Path) -> bool:
        with path.open("rb") as file:
            head = file.read(_HEADER_LIMIT)
            end = head.find(b"\n\n")
            if not head.startswith(_MAGIC) or end < 0:
                return False
            file.seek(end + 2)
            return read_comment(file) == self.mark(head[: end + 2])

    def least_bytes(self, array: Voxels) -> int:
        return int(array.nbytes) // MOST_RATIO

    def write(self, image: LabelImage, stage: Path, name: str) -> list[Path]:
        path, dtype = self.path(stage, name), image.array.dtype
        lines = [*grid_lines(image.geometry, dtype), *self.pairs(image)]
        header = ("\n".join(lines) + "\n\n").encode("utf-8")
        with path.open("wb") as file:
            file.write(header)
            write_member(file, voxel_blocks(image.array, dtype), self.mark(header))
        return [path]

    def mark(self, header: bytes) -> str:
        """The comment of the gzip member; the format is in it, because a.seg.nrrd may be the NRRD of a case a.seg."""
        return f"{MARK} as {self.name}, header {zlib.crc32(header):08x}"

    def pairs(self, image: LabelImage) -> Iterable[str]:
        """Lines `key:=value` after the fields."""
        return ()


def grid_lines(geometry: Geometry, dtype: DType) -> list[str]:
    """Lines of the header for the type and the grid, in LPS mm. A sheared affine is written unchanged."""
    affine = geometry.affine
    directions = [_vector(_LPS_FROM_RAS * affine[:3, axis]) for axis in range(3)]
    return [
        "NRRD0004",
        f"type: {dtype.name}",
        "dimension: 3",
        "space: left-posterior-superior",
        f"sizes: {' '.join(map(str, geometry.shape))}",
        f"space directions: {' '.join(directions)}",
        "kinds: domain domain domain",
        "endian: little",
        "encoding: gzip",
        f"space origin: {_vector(_LPS_FROM_RAS * affine[:3, 3])}",
    ]


def _vector(values: ArrayLike) -> str:
    # repr is the shortest text that reads back as the same float64; adding 0 turns −0 into 0.
    return "(" + ",".join(repr(float(v) + 0.0) for v in np.ravel(values)) + ")"
