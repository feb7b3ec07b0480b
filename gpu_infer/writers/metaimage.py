"""MetaImage: a header `name.mhd` and the voxels `name.raw` (or `name.zraw`), written whole or not at all.

The header is written here rather than by ITK: the voxels then go from the array to the file without a copy, a
full disk is an error at the byte where it happens, and every number has the digits that give the same float64
back.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from gpu_infer.volume.geometry import Geometry
from gpu_infer.writers.atomic import check_folder, check_space, publish, staging
from gpu_infer.writers.header_fields import DATA_FILE, check_header
from gpu_infer.writers.names import voxel_stem
from gpu_infer.writers.output_dtype import fit_labels, output_dtype
from gpu_infer.writers.places import Place, check_places
from gpu_infer.writers.recognise import is_header, is_voxels
from gpu_infer.writers.scaled import ScaledVoxels

__all__ = ["check_folder", "fit_labels", "header_fields", "write_metaimage"]

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
HEADER_BYTES = 4096
"""More than any header takes."""

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
    name      of the header; what MetaImage cannot say or gives a meaning is changed in the voxels' name (`names`)

    Raises `ConfigError` for a dtype that MetaImage readers do not take, for a folder that is missing or read-only,
    and for a file in either place that is no plain MetaImage, `ResourceError` for a full disk; nothing is left behind
    then, and an older output is untouched. `ValueError` when array and geometry do not belong together.
    """
    output_dtype(array.dtype)
    if not name or Path(name).name != name:
        raise ValueError(f"{name!r} is not a file name")
    header = folder / f"{name}.mhd"
    if not compress:
        check_space(folder, array.nbytes + HEADER_BYTES)
    with staging(folder, name) as stage:
        staged, voxels = write_pair(array, geometry, stage, name, compress=compress)
        other = voxels.with_suffix(".raw" if compress else ".zraw").name
        obsolete = [other] if is_voxels(folder / other, header) else []
        places = [Place(header, "a plain MetaImage header", "output", is_header)]
        places.append(
            Place(folder / voxels.name, f"the voxels of {header.name}", "output", partial(is_voxels, header=header))
        )
        publish(stage, [voxels.name, staged.name], folder, obsolete=obsolete, check=partial(check_places, places))
    return header, folder / voxels.name


def write_pair(
    array: NDArray[Any] | ScaledVoxels,
    geometry: Geometry,
    stage: Path,
    name: str,
    *,
    compress: bool = False,
    comment: str | None = None,
) -> tuple[Path, Path]:
    """Write `stage/name.mhd` and its voxels into a folder that nobody else uses; the two paths.

    comment  of the header, at most 254 bytes: MetaIO does not look at its length

    The header is read back. Raises `ConfigError` (dtype), `ResourceError` (header or voxels are not what was
    written) and `OSError`.
    """
    dtype = output_dtype(array.dtype)
    if array.shape != geometry.shape:
        raise ValueError(f"array of shape {array.shape} for a grid of shape {geometry.shape}")
    header, voxels = stage / f"{name}.mhd", stage / f"{voxel_stem(name)}.{'zraw' if compress else 'raw'}"
    with voxels.open("wb") as file:
        nbytes = _write_voxels(array, dtype.newbyteorder("<"), file, compress)
    fields = header_fields(geometry, dtype, voxels.name, compressed_bytes=nbytes if compress else None)
    if comment is not None:
        fields = {"ObjectType": fields["ObjectType"], "Comment": comment, **fields}
    write_header(header, fields, nbytes)
    return header, voxels


def write_header(path: Path, fields: dict[str, str], nbytes: int) -> None:
    """Write a header whose voxels, `nbytes` in its folder, are there already, and read it back."""
    path.write_text("".join(f"{key} = {value}\n" for key, value in fields.items()), encoding="utf-8")
    check_header(path, fields, nbytes)


def header_fields(
    geometry: Geometry, dtype: np.dtype[Any], data_file: str, *, compressed_bytes: int | None = None
) -> dict[str, str]:
    """The .mhd for a grid whose voxels are in `data_file`, ElementDataFile last as the format demands.

    TransformMatrix holds the direction of the first axis, then of the second and third: ITK's direction
    matrix by columns. A sheared affine is written as it is; ITK reads it back, and a log line warns of
    readers that do not.
    """
    spacing, origin, direction = geometry.to_itk()
    matrix = np.asarray(direction).reshape(3, 3)
    if np.abs(matrix.T @ matrix - np.eye(3)).max() > _ORTHOGONAL:
        logger.warning("%s: sheared axes; readers that assume a rotation will misplace voxels", data_file)
    return {
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
        DATA_FILE: data_file,
    }


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
