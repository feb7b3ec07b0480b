"""MetaImage: a header `name.mhd` and the voxels `name.raw`, written whole or not at all.

This module writes the files instead of ITK, for three reasons: voxels go from the array to the file without a copy, a
full disk is an error at the byte where it happens, and every number has the digits that read back as the same float64.
"""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gpu_infer.volume.checks import DType, Voxels
from gpu_infer.volume.geometry import Geometry
from gpu_infer.writers.atomic import check_space, open_stage, publish
from gpu_infer.writers.header_fields import DATA_FILE, check_header
from gpu_infer.writers.label_file import LabelFile
from gpu_infer.writers.names import voxel_stem
from gpu_infer.writers.output_dtype import output_dtype
from gpu_infer.writers.places import check_places, metaimage_places
from gpu_infer.writers.recognise import is_voxels
from gpu_infer.writers.voxel_blocks import Slices, voxel_blocks

log = logging.getLogger(__name__)

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
"""Upper bound of a header's size."""

_ORTHOGONAL = 1e-4  # dot product of unit axes; above it readers that assume a rotation misplace voxels


def write_metaimage(array: Voxels | Slices, geometry: Geometry, folder: Path, name: str) -> tuple[Path, Path]:
    """Write `array` as `folder/name.mhd` and its voxels, replacing older ones, and return the two paths.

    Args:
        array: [I, J, K] in stored index order, int8 to uint32, float32 or float64, any strides. It is not copied if its
            first axis is the fastest in memory. `ScaledVoxels` are computed while they are written.
        geometry: its shape equals the array's. Written in LPS mm, so that every float64 reads back unchanged.
        folder: exists.
        name: of the header. The voxels' file has another name if MetaImage cannot write this one (`names`).

    Raises:
        ConfigError: a dtype that MetaImage readers do not take, a folder that is missing or read-only, or a file in one
            of the places that is no plain MetaImage.
        ResourceError: the disk is full. No new file remains then, and an older output is unchanged.
        ValueError: array and geometry do not belong together.
    """
    output_dtype(array.dtype)
    if not name or Path(name).name != name:
        raise ValueError(f"{name!r} is not a file name")
    header = folder / f"{name}.mhd"
    check_space(folder, array.nbytes + HEADER_BYTES)
    with open_stage(folder, name) as stage:
        staged, voxels = write_pair(array, geometry, stage, name)
        packed = voxels.with_suffix(".zraw").name
        obsolete = [packed] if is_voxels(folder / packed, header) else []
        check = partial(check_places, metaimage_places(folder, name, "output"))
        publish(stage, [voxels.name, staged.name], folder, obsolete=obsolete, check=check)
    return header, folder / voxels.name


def write_pair(
    array: Voxels | Slices, geometry: Geometry, stage: Path, name: str, *, comment: str | None = None
) -> tuple[Path, Path]:
    """Write `stage/name.mhd` and its voxels into a folder that no other process uses, and return the two paths.

    Args:
        array, geometry, name: as in `write_metaimage`.
        stage: folder.
        comment: of the header, at most 254 bytes: MetaIO does not check its length.

    The header is read back. Raises `ConfigError` (dtype), `ResourceError` (header or voxels differ from what was
    written) and `OSError`.
    """
    dtype = output_dtype(array.dtype)
    if array.shape != geometry.shape:
        raise ValueError(f"array of shape {array.shape} for a grid of shape {geometry.shape}")
    header, voxels = stage / f"{name}.mhd", stage / f"{voxel_stem(name)}.raw"
    if isinstance(array, LabelFile) and array.link(voxels):
        nbytes = array.nbytes
    else:
        with voxels.open("wb") as file:
            nbytes = sum(file.write(block) for block in voxel_blocks(array, dtype))
    fields = header_fields(geometry, dtype, voxels.name, voxels.name)
    if comment is not None:
        fields = {"ObjectType": fields["ObjectType"], "Comment": comment, **fields}
    write_header(header, fields, nbytes)
    return header, voxels


def write_header(path: Path, fields: dict[str, str], nbytes: int) -> None:
    """Write a header after its voxels (`nbytes`, in the same folder), and read it back."""
    path.write_text(format_fields(fields), encoding="utf-8")
    check_header(path, fields, nbytes)


def format_fields(fields: dict[str, str]) -> str:
    """The text of a header."""
    return "".join(f"{key} = {value}\n" for key, value in fields.items())


def header_fields(geometry: Geometry, dtype: DType, data_file: str, shown: str) -> dict[str, str]:
    """Return the fields of the header for voxels in `data_file`, ElementDataFile last, as the format requires.

    TransformMatrix has the direction of the first axis, then of the second and the third: the columns of ITK's
    direction matrix. A sheared affine is written unchanged; ITK reads it back, and a log line warns of readers that do
    not, with the name `shown`.
    """
    spacing, origin, direction = geometry.to_itk()
    matrix = np.asarray(direction).reshape(3, 3)
    if is_sheared(geometry):
        log.warning("%s: sheared axes; readers that assume a rotation will misplace voxels", shown)
    return {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": "False",
        "TransformMatrix": _numbers(matrix.T),
        "Offset": _numbers(origin),
        "CenterOfRotation": "0 0 0",
        "AnatomicalOrientation": _anatomical(matrix),
        "ElementSpacing": _numbers(spacing),
        "DimSize": " ".join(map(str, geometry.shape)),
        "ElementType": _ELEMENT_TYPES[dtype.name],
        DATA_FILE: data_file,
    }


def is_sheared(geometry: Geometry) -> bool:
    """Whether two axes are not at right angles."""
    unit = geometry.affine[:3, :3] / np.asarray(geometry.spacing)
    return bool(np.abs(unit.T @ unit - np.eye(3)).max() > _ORTHOGONAL)


def _numbers(values: ArrayLike) -> str:
    # repr is the shortest text that reads back as the same float64; adding 0 turns −0 into 0.
    return " ".join(repr(float(v) + 0.0) for v in np.ravel(values))


def _anatomical(direction: NDArray[np.float64]) -> str:
    """Side from which each axis comes (RAI for the identity in LPS), as MetaIO writes it next to TransformMatrix."""
    letters = ("RL", "AP", "IS")
    sides = ""
    for column in direction.T:
        world = int(np.argmax(np.abs(column)))
        sides += letters[world][0 if column[world] > 0 else 1]
    return sides
