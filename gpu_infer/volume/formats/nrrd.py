"""NRRD: header and voxels. ITK is not used; the tests compare with it."""

from __future__ import annotations

import re
from math import prod
from pathlib import Path
from typing import Literal

import numpy as np

from gpu_infer.errors import InputError
from gpu_infer.volume.checks import Voxels, check_geometry, conversion_bytes, memory_dtype
from gpu_infer.volume.files import data_file
from gpu_infer.volume.follower import Follower
from gpu_infer.volume.formats.nrrd_grid import nrrd_grid
from gpu_infer.volume.formats.nrrd_header import FILE_LIST, NrrdHeader
from gpu_infer.volume.formats.numbered import numbered_names
from gpu_infer.volume.formats.stored import StoredVoxels
from gpu_infer.volume.header import VolumeHeader

_NAMES = {
    "i1": "signed char;int8;int8_t",
    "u1": "uchar;unsigned char;uint8;uint8_t",
    "i2": "short;short int;signed short;signed short int;int16;int16_t",
    "u2": "ushort;unsigned short;unsigned short int;uint16;uint16_t",
    "i4": "int;signed int;int32;int32_t",
    "u4": "uint;unsigned int;uint32;uint32_t",
    "i8": "longlong;long long;long long int;signed long long;signed long long int;int64;int64_t",
    "u8": "ulonglong;unsigned long long;unsigned long long int;uint64;uint64_t",
    "f4": "float",
    "f8": "double",
}
_DTYPES = {name: code for code, names in _NAMES.items() for name in names.split(";")}
_ENCODINGS: dict[str, Literal["raw", "gzip", "text", "hex"]] = {
    "raw": "raw",
    "gz": "gzip",
    "gzip": "gzip",
    "txt": "text",
    "text": "text",
    "ascii": "text",
    "hex": "hex",
}
_NOT_REAL = {"complex", "quaternion", "3d-complex"}


def nrrd_header(path: Path, *, allow_foreign: bool = False) -> VolumeHeader:
    """Read the header of a .nrrd or .nhdr with its data files; the axis that is not an axis of space has the channels.

    Raises `InputError` for files that are missing or truncated, and for grids that are not 3-D.
    """
    header = NrrdHeader.read(path)
    notes: list[str] = []
    sizes = header.sizes
    kinds = header.words("kinds", len(sizes)) or []
    if any(kind.lower() in _NOT_REAL for kind in kinds):
        raise InputError(f"{path}: complex voxels are not supported", remedy="save the magnitude as float32")
    if {"old min", "old max"} & header.fields.keys():
        notes.append("old min and old max are ignored: voxels are read as stored")
    grid = nrrd_grid(header, notes)
    check_geometry(grid.geometry, path)
    stored = _stored_voxels(header, allow_foreign)
    stored.check()

    def load(remarks: list[str], follower: Follower) -> Voxels:
        array = stored.read(remarks, follower).reshape(sizes[::-1])
        axes = [len(sizes) - 1 - axis for axis in grid.spatial]
        if grid.channel is None:
            return array.transpose(axes)[None]
        return array.transpose(len(sizes) - 1 - grid.channel, *axes)

    return VolumeHeader(
        grid.geometry,
        1 if grid.channel is None else sizes[grid.channel],
        memory_dtype(stored.dtype, path),
        path,
        tuple(dict.fromkeys((path, *stored.files))),
        "nrrd",
        load,
        warnings=tuple(notes),
        extra=conversion_bytes(stored.dtype, stored.count),
        stored=stored if grid.channel is None and tuple(grid.spatial) == (0, 1, 2) else None,
    )


def _stored_voxels(header: NrrdHeader, allow_foreign: bool) -> StoredVoxels:
    kind = header.require("type").lower()
    if kind not in _DTYPES:
        raise InputError(
            f"{header.path}: voxel type {kind[:40]} is not supported", remedy="save the volume as int16 or float32"
        )
    encoding = _ENCODINGS.get(header.require("encoding").lower())
    if encoding is None:
        raise header.wrong("encoding", f"one of {', '.join(_ENCODINGS)}")
    dtype = np.dtype(_DTYPES[kind])
    if dtype.itemsize > 1 and encoding != "text":
        endian = header.require("endian").lower()
        if endian not in ("little", "big"):
            raise header.wrong("endian", "little or big")
        dtype = dtype.newbyteorder("<" if endian == "little" else ">")
    files = _data_files(header, allow_foreign)
    lines, skip = header.whole("line skip"), header.whole("byte skip")
    if lines < 0:
        raise header.wrong("line skip", "0 or more")
    if skip < -1 or (skip == -1 and encoding != "raw"):
        raise header.wrong("byte skip", "0 or more, or -1 with encoding raw")
    start = header.end if files == (header.path,) else 0
    if skip == -1:
        start, lines, skip = -1, 0, 0
    return StoredVoxels(files, dtype, prod(header.sizes), encoding, start, lines, skip)


def _data_files(header: NrrdHeader, allow_foreign: bool) -> tuple[Path, ...]:
    name = header.fields.get("data file")
    if name is None:
        return (header.path,)
    if match := FILE_LIST.fullmatch(name):
        names = list(header.listed)
        _check_count(header, len(names), int(match[1] or 0))
    elif "%" in name:
        words = name.split()
        part = int(words.pop()) if len(words) == 5 and re.fullmatch("[1-4]", words[4]) else 0
        if len(words) != 4:
            raise header.wrong("data file", "a pattern with first, last and step")
        names = numbered_names(words, lambda expected: header.wrong("data file", expected), header.path)
        _check_count(header, len(names), part)
    else:
        names = [name]
    return tuple(data_file(header.path, each, allow_foreign=allow_foreign) for each in names)


def _check_count(header: NrrdHeader, count: int, part: int) -> None:
    """Raise `InputError` unless `count` files with `part` axes each make the volume; 0: one axis less than all."""
    sizes = header.sizes
    part = part or len(sizes) - 1
    if part > len(sizes):
        raise header.wrong("data file", f"at most {len(sizes)} axes in each file")
    if count != (expected := prod(sizes[part:])):
        raise InputError(
            f"{header.path}: data file names {count} files, expected {expected} for sizes: {header.fields['sizes']}",
            remedy="name every file of the volume in the header",
        )
