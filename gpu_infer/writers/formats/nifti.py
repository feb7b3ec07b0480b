"""NIfTI in one file, plain or compressed.

If the input is NIfTI, position, directions, spacing and unit are those of its header, bit by bit. Otherwise they are in
qform and sform, code 1 (scanner).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from gpu_infer.choices import Format
from gpu_infer.volume.checks import Voxels
from gpu_infer.volume.geometry import Geometry
from gpu_infer.volume.nifti_grid import NiftiGrid
from gpu_infer.writers.formats.base import MARK, LabelFormat, LabelImage
from gpu_infer.writers.formats.nifti_header import needs_version_2, nifti_header
from gpu_infer.writers.formats.nrrd import MOST_RATIO
from gpu_infer.writers.gzip_member import read_comment, write_member
from gpu_infer.writers.metaimage import is_sheared
from gpu_infer.writers.voxel_blocks import voxel_blocks

_DESCRIPTION = {348: (148, 80), 540: (240, 80)}
"""Offset and length of descrip, by the size of the header: NIfTI-1's, then NIfTI-2's."""

_SUM = re.compile(rb"gpu_infer labels, crc32 ([0-9a-f]{8})\0*")
_CHUNK = 1 << 22


class _NiftiFile(LabelFormat):
    """What both have in common."""

    def warning(self, geometry: Geometry, nifti: NiftiGrid | None) -> str | None:
        """The grids that ITK does not read from a NIfTI file; a NIfTI-2 input shows that no ITK is used."""
        if is_sheared(geometry):
            return "the axes are sheared, and ITK does not read sheared axes from NIfTI"
        if nifti is None and needs_version_2(geometry):
            return "NIfTI-1 cannot contain this grid, and ITK does not read NIfTI-2"
        return None


class NiftiGz(_NiftiFile):
    """`<name>.nii.gz`. The gzip member's comment is the mark."""

    name: Format = "nii.gz"

    def is_ours(self, path: Path) -> bool:
        with path.open("rb") as file:
            return read_comment(file) == MARK

    def least_bytes(self, array: Voxels) -> int:
        return int(array.nbytes) // MOST_RATIO

    def write(self, image: LabelImage, stage: Path, name: str) -> list[Path]:
        path = self.path(stage, name)
        header = _set_description(nifti_header(image), MARK.encode())
        with path.open("wb") as file:
            write_member(file, _then(header, voxel_blocks(image.array, image.array.dtype)), MARK)
        return [path]


class Nifti(_NiftiFile):
    """`<name>.nii`. The mark is in descrip, with a checksum of the file, because other programs copy descrip."""

    name: Format = "nii"

    def is_ours(self, path: Path) -> bool:
        with path.open("rb") as file:
            head = file.read(max(_DESCRIPTION))
            size = int.from_bytes(head[:4], "little")
            if size not in _DESCRIPTION or len(head) < size:
                return False
            offset, length = _DESCRIPTION[size]
            if (mark := _SUM.fullmatch(head[offset : offset + length])) is None:
                return False
            checksum = zlib.crc32(_set_description(head, b""))
            while block := file.read(_CHUNK):
                checksum = zlib.crc32(block, checksum)
        return checksum == int(mark[1], 16)

    def write(self, image: LabelImage, stage: Path, name: str) -> list[Path]:
        path = self.path(stage, name)
        header, checksum = nifti_header(image), 0
        with path.open("wb") as file:
            for block in _then(header, voxel_blocks(image.array, image.array.dtype)):
                file.write(block)
                checksum = zlib.crc32(block, checksum)
            file.seek(0)
            file.write(_set_description(header, f"{MARK}, crc32 {checksum:08x}".encode()))
        return [path]


def _set_description(header: bytes, text: bytes) -> bytes:
    offset, length = _DESCRIPTION[int.from_bytes(header[:4], "little")]
    return header[:offset] + text.ljust(length, b"\0") + header[offset + length :]


def _then(header: bytes, voxels: Iterable[memoryview]) -> Iterator[bytes | memoryview]:
    yield header
    yield from voxels
