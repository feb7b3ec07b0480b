"""MetaImage in one file: the header of a .mhd with a comment, then the voxels."""

from __future__ import annotations

from pathlib import Path

from gpu_infer.choices import Format
from gpu_infer.writers.formats.base import MARK, LabelFormat, LabelImage
from gpu_infer.writers.header_fields import DATA_FILE, read_fields
from gpu_infer.writers.metaimage import format_fields, header_fields
from gpu_infer.writers.recognise import PLAIN_FIELDS
from gpu_infer.writers.voxel_blocks import voxel_blocks

_COMMENT = "Comment"
_LOCAL = "LOCAL"
"""Value of ElementDataFile: the voxels follow the header."""


class Mha(LabelFormat):
    """`<name>.mha`. ITK drops the comment when it saves the image again."""

    name: Format = "mha"

    def is_ours(self, path: Path) -> bool:
        fields = read_fields(path)
        if fields is None or fields[DATA_FILE] != _LOCAL or fields.get(_COMMENT) != MARK:
            return False
        return fields.keys() <= PLAIN_FIELDS | {_COMMENT}

    def write(self, image: LabelImage, stage: Path, name: str) -> list[Path]:
        path = self.path(stage, name)
        fields = header_fields(image.geometry, image.array.dtype, _LOCAL, path.name)
        fields = {"ObjectType": fields["ObjectType"], _COMMENT: MARK, **fields}
        with path.open("wb") as file:
            file.write(format_fields(fields).encode("ascii"))
            file.writelines(voxel_blocks(image.array, image.array.dtype))
        return [path]
