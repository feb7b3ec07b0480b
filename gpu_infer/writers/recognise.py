"""Recognise older outputs, which may be replaced, among the files in the places of outputs."""

from __future__ import annotations

import filecmp
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from gpu_infer.errors import GpuInferError
from gpu_infer.writers.header_fields import DATA_FILE, read_fields

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_SOFTWARE = "gpu_infer"
PNG_MARK = f"tEXtSoftware\0{PNG_SOFTWARE}".encode()
"""Type and content of the chunk after the first one (the size) of each preview."""

_PNG_HEAD = 128
_META_LIMIT = 1 << 20
_SETTINGS_LIMIT = 1 << 27  # a component for each of 65535 labels takes 84 MB
_COPIES = "gpu_infer copies"
_COMMENT = "Comment"

PLAIN_FIELDS = {
    *("ObjectType", "NDims", "BinaryData", "BinaryDataByteOrderMSB", "CompressedData", "CompressedDataSize"),
    *("TransformMatrix", "Offset", "CenterOfRotation", "AnatomicalOrientation", "ElementSpacing"),
    *("DimSize", "ElementType", DATA_FILE),
}
"""Fields of this package's headers, which are those that ITK writes for an image without tags."""


def is_header(path: Path) -> bool:
    """Whether `path` is a plain MetaImage header: `PLAIN_FIELDS` only, and perhaps the Comment of a published volume.

    ITK adds tags to an image that it has read, so a label map that was edited with ITK does not count.
    """
    fields = read_fields(path)
    if fields is None:
        return False
    return fields.keys() <= PLAIN_FIELDS | ({_COMMENT} if fields.get(_COMMENT, "").startswith(_COPIES) else set())


def is_voxels(path: Path, header: Path) -> bool:
    """Whether the MetaImage `header` in the same folder names `path` as its voxels."""
    fields = read_fields(header)
    return fields is not None and fields[DATA_FILE] == path.name


def is_preview(path: Path) -> bool:
    """Whether `path` is a PNG with the mark of this program."""
    with path.open("rb") as file:
        head = file.read(_PNG_HEAD)
    return head.startswith(PNG_SIGNATURE) and PNG_MARK in head


def is_meta(path: Path) -> bool:
    """Whether `path` is a config.meta: an object with the keys of one of the dialects."""
    if path.stat().st_size > _META_LIMIT:
        return False
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and {"name", "settings"} <= content.keys() <= {
        *("name", "settings", "density", "seg_masks", "data"),
    }


def is_render_settings(path: Path) -> bool:
    """Whether `path` is a config_render.json."""
    from gpu_infer.writers.render_settings import check_render_settings

    if path.stat().st_size > _SETTINGS_LIMIT:
        return False
    try:
        check_render_settings(path)
    except (GpuInferError, RecursionError):
        return False
    return True


def copies_comment(copies: Mapping[Path, str]) -> str:
    """Return the Comment of a published header by which `is_copy` recognises the files that are copied with it.

    copies  names of the copies, by source

    It has digests of names, because MetaIO copies a Comment into 255 bytes without a check of its length, and digests
    of contents instead of sizes and times, because a copy that somebody edited must not count as a copy.
    """
    return " ".join(
        [_COPIES, *(f"{_name_digest(Path(name))}:{_content_digest(file)}" for file, name in copies.items())]
    )


def is_copy(path: Path, source: Path, density: Path) -> bool:
    """Whether `path` is the copy that was published with the MetaImage `density`, or is equal to `source`."""
    comment = (read_fields(density) or {}).get(_COMMENT, "")
    if comment.startswith(_COPIES):
        pairs = [word.partition(":") for word in comment.split()]
        contents = [content for name, _, content in pairs if name == _name_digest(path)]
        if contents and _content_digest(path) in contents:
            return True
    return filecmp.cmp(path, source, shallow=False)


def _name_digest(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path.name)).hexdigest()[:8]


def _content_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]
