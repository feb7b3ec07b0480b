"""MetaImage (.mhd, .mha): header and voxels. ITK is not used; the tests compare with it."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Literal

import numpy as np

from gpu_infer.errors import InputError
from gpu_infer.volume.checks import Voxels, check_geometry, conversion_bytes, memory_dtype
from gpu_infer.volume.follower import Follower
from gpu_infer.volume.formats.meta_files import data_files
from gpu_infer.volume.formats.meta_header import MetaHeader
from gpu_infer.volume.formats.stored import StoredVoxels
from gpu_infer.volume.header import VolumeHeader

_DTYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",  # 32 bits in MetaIO on every platform
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
_BYTE_ORDERS = ("BinaryDataByteOrderMSB", "ElementByteOrderMSB")


def metaimage_header(path: Path, *, allow_foreign: bool = False) -> VolumeHeader:
    """Read the header of a .mhd with its data files, or of an .mha; components or a fourth axis are channels.

    Raises `InputError` for files that are missing or truncated, and for grids that are not 3-D.
    """
    header = MetaHeader.read(path)
    notes: list[str] = []
    header.check_unscaled()
    geometry = header.geometry(notes)
    check_geometry(geometry, path)
    frames = header.sizes[3] if header.dims == 4 else 1
    components = max(header.whole("ElementNumberOfChannels", 1), 1)
    if frames > 1 and components > 1:
        raise InputError(
            f"{path}: {frames} volumes of {components} components, expected one axis of channels at most",
            remedy="split the file into volumes",
        )
    stored = _stored_voxels(header, components, allow_foreign)
    stored.check()
    i, j, k = geometry.shape

    def load(remarks: list[str], follower: Follower) -> Voxels:
        flat = stored.read(remarks, follower)
        # Components of a voxel are adjacent, so they are the fastest axis; a fourth axis is the slowest.
        if components > 1:
            return flat.reshape(k, j, i, components).transpose(3, 2, 1, 0)
        return flat.reshape(frames, k, j, i).transpose(0, 3, 2, 1)

    return VolumeHeader(
        geometry,
        frames * components,
        memory_dtype(stored.dtype, path),
        path,
        tuple(dict.fromkeys((path, *stored.files))),
        "metaimage",
        load,
        warnings=tuple(notes),
        extra=conversion_bytes(stored.dtype, stored.count),
        stored=stored if frames * components == 1 else None,
    )


def _stored_voxels(header: MetaHeader, components: int, allow_foreign: bool) -> StoredVoxels:
    kind = _DTYPES.get(header.fields["ElementType"])
    if kind is None:
        raise header.wrong("ElementType", f"one of {', '.join(_DTYPES)}")
    files = data_files(header, allow_foreign=allow_foreign)
    dtype = np.dtype(kind)
    count = prod(header.sizes) * components
    encoding: Literal["raw", "gzip", "text"] = "gzip" if header.flag("CompressedData") else "raw"
    if not header.flag("BinaryData", default=True):
        encoding = "text"
    elif dtype.itemsize > 1:
        dtype = dtype.newbyteorder(_byte_order(header))
    start = header.whole("HeaderSize", 0)
    if start < -1 or (start == -1 and encoding != "raw"):
        raise header.wrong("HeaderSize", "0 or more, or -1 with binary voxels that are not compressed")
    if files == (header.path,):
        if start:  # ITK counts from the file's first byte
            raise header.wrong("HeaderSize", "0 with voxels in the header's own file")
        start = header.end
    return StoredVoxels(files, dtype, count, encoding, start)


def _byte_order(header: MetaHeader) -> Literal["<", ">"]:
    """Return the byte order, from either key; little-endian without both. Raises `InputError` if the keys differ."""
    flags = {key: header.flag(key) for key in _BYTE_ORDERS if header.fields.get(key)}
    if len(set(flags.values())) > 1:
        binary, element = _BYTE_ORDERS
        raise header.wrong(element, f"the same as {binary} = {header.fields[binary][:200]}")
    return ">" if any(flags.values()) else "<"
