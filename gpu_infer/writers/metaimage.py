"""MetaImage: a header `name.mhd` and the voxels `name.raw` (or `name.zraw`), written whole or not at all.

The header is written here rather than by ITK: the voxels then go from the array to the file without a copy, a
full disk is an error at the byte where it happens, and every number has the digits that give the same float64
back.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..volume.geometry import Geometry
from .atomic import check_folder, check_space, publish, staging
from .labels import fit_labels, output_dtype
from .scaled import ScaledVoxels

__all__ = ["check_folder", "fit_labels", "header_text", "write_metaimage"]

logger = logging.getLogger(__name__)

_ELEMENT_TYPES = {
    "int8": "MET_CHAR",
    "uint8": "MET_UCHAR",
    "int16": "MET_SHORT",
    "uint16": "MET_USHORT",
    "int32": "MET_INT",
    "uint32": "MET_UINT",
    "float32": "MET_FLOAT",
    "float64": "MET_DOUBLE",
}
_CHUNK = 1 << 24
_ORTHOGONAL = 1e-4  # dot product of unit axes; above it readers that assume a rotation misplace voxels


def write_metaimage(
    array: NDArray[Any] | ScaledVoxels, geometry: Geometry, folder: Path, name: str, *, compress: bool = False
) -> tuple[Path, Path]:
    """Write `array` as `folder/name.mhd` and its voxels, replacing older ones; the two paths.

    array     [I, J, K] in stored index order, int8 to uint32, float32 or float64, any strides; not copied
              when its first axis is the fastest in memory; ScaledVoxels are computed while they are written
    geometry  shape equal to the array's; written in LPS mm so that float64 numbers come back as they were
    compress  zlib into `name.zraw` instead of `name.raw`
    name      of the header; a % or a leading LIST, which MetaImage gives a meaning, is changed in the voxels' name

    Raises `ConfigError` for a dtype that MetaImage readers do not take and for a folder that is missing or
    read-only, `ResourceError` for a full disk; nothing is left behind then, and an older output is untouched.
    `ValueError` when array and geometry do not belong together.
    """
    dtype = output_dtype(array.dtype)
    if array.shape != geometry.shape:
        raise ValueError(f"array of shape {array.shape} for a grid of shape {geometry.shape}")
    if not name or Path(name).name != name:
        raise ValueError(f"{name!r} is not a file name")
    suffixes = ("zraw", "raw") if compress else ("raw", "zraw")
    header = f"{name}.mhd"
    voxels, other = (f"{_data_stem(name)}.{suffix}" for suffix in suffixes)
    if not compress:
        check_space(folder, array.nbytes + 4096)
    with staging(folder, name) as stage:
        with (stage / voxels).open("wb") as file:
            packed = _write_voxels(array, dtype.newbyteorder("<"), file, compress)
        text = header_text(geometry, dtype, voxels, compressed_bytes=packed if compress else None)
        (stage / header).write_text(text, encoding="ascii" if text.isascii() else "utf-8")
        # A header that is replaced may have pointed at the other kind of voxels.
        obsolete = [other] if (folder / header).exists() else []
        publish(stage, [voxels, header], folder, obsolete=obsolete)
    return folder / header, folder / voxels


def header_text(
    geometry: Geometry, dtype: np.dtype[Any], data_file: str, *, compressed_bytes: int | None = None
) -> str:
    """The .mhd for a grid whose voxels are in `data_file`, ElementDataFile last as the format demands.

    TransformMatrix holds the direction of the first axis, then of the second and third: ITK's direction
    matrix by columns. A sheared affine is written as it is; ITK reads it back, and a log line warns of
    readers that do not.
    """
    spacing, origin, direction = geometry.to_itk()
    matrix = np.asarray(direction).reshape(3, 3)
    if np.abs(matrix.T @ matrix - np.eye(3)).max() > _ORTHOGONAL:
        logger.warning("%s: sheared axes; readers that assume a rotation will misplace voxels", data_file)
    lines = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": str(compressed_bytes is not None),
        **({} if compressed_bytes is None else {"CompressedDataSize": str(compressed_bytes)}),
        "TransformMatrix": _numbers(matrix.T.ravel()),
        "Offset": _numbers(origin),
        "CenterOfRotation": "0 0 0",
        "AnatomicalOrientation": _anatomical(matrix),
        "ElementSpacing": _numbers(spacing),
        "DimSize": " ".join(map(str, geometry.shape)),
        "ElementType": _ELEMENT_TYPES[dtype.name],
        "ElementDataFile": data_file,
    }
    return "".join(f"{key} = {value}\n" for key, value in lines.items())


def _data_stem(name: str) -> str:
    """`name` as it may stand in ElementDataFile: readers take LIST… for a list and % for a pattern of file names."""
    stem = name.replace("%", "_")
    return f"_{stem}" if stem.upper().startswith("LIST") else stem


def _write_voxels(array: NDArray[Any] | ScaledVoxels, dtype: np.dtype[Any], file: BinaryIO, compress: bool) -> int:
    if not compress:
        return sum(file.write(block) for block in _blocks(array, dtype))
    packer = zlib.compressobj(1)  # label maps shrink a hundredfold at any level
    packed = sum(file.write(packer.compress(block)) for block in _blocks(array, dtype))
    return packed + file.write(packer.flush())


def _blocks(array: NDArray[Any] | ScaledVoxels, dtype: np.dtype[Any]) -> Iterator[memoryview]:
    """The voxels, first axis fastest, some slices at a time; views of the array where its memory allows."""
    slices = array.shape[2]
    step = max(_CHUNK * slices // max(array.nbytes, 1), 1)
    for k in range(0, slices, step):
        part = array.slices(k, k + step) if isinstance(array, ScaledVoxels) else array.T[k : k + step]
        block = np.ascontiguousarray(part, dtype=dtype)
        yield block.reshape(-1).view(np.uint8).data


def _numbers(values: Any) -> str:
    # repr is the shortest text that reads back as the same float64; adding 0 turns −0 into 0.
    return " ".join(repr(float(v) + 0.0) for v in values)


def _anatomical(direction: NDArray[np.float64]) -> str:
    """Where each axis comes from (RAI for the identity in LPS): what MetaIO writes beside TransformMatrix."""
    letters = ("RL", "AP", "IS")
    found = []
    for column in direction.T:
        world = int(np.argmax(np.abs(column)))
        found.append(letters[world][0 if column[world] > 0 else 1])
    return "".join(found)
