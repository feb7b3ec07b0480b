"""Data files of a MetaImage header: one file, a list, or the numbered files of a printf pattern."""

from __future__ import annotations

import re
from math import prod
from pathlib import Path

from gpu_infer.errors import InputError
from gpu_infer.volume.files import data_file
from gpu_infer.volume.formats.meta_header import MetaHeader
from gpu_infer.volume.formats.numbered import name_exists, numbered_names

_LIST = re.compile(r"LIST(?:\s+([1-4])D?)?", re.IGNORECASE)


def data_files(header: MetaHeader, *, allow_foreign: bool) -> tuple[Path, ...]:
    """Return the files with equal parts of the voxels, in order; for LOCAL, the path of the header.

    Raises `InputError` if a file is missing or outside the header's folder, and if the number of files does not fit the
    shape.
    """
    name = header.fields["ElementDataFile"]
    if name.upper() == "LOCAL":
        return (header.path,)
    if match := _LIST.fullmatch(name):
        part = int(match[1] or header.dims - 1)
        if part > header.dims:
            raise header.wrong("ElementDataFile", f"at most {header.dims} axes in each file")
        _check_count(header, len(header.listed), prod(header.sizes[part:]))
        return tuple(data_file(header.path, each, allow_foreign=allow_foreign) for each in header.listed)
    if "%" in name and not name_exists(header.path.parent / name):
        names = numbered_names(
            name.split(),
            lambda expected: header.wrong("ElementDataFile", expected),
            header.path,
            header.sizes[-1],  # one slice in a file, or one volume of four axes
        )
        return tuple(data_file(header.path, each, allow_foreign=allow_foreign) for each in names)
    return (data_file(header.path, name, allow_foreign=allow_foreign),)


def _check_count(header: MetaHeader, count: int, expected: int) -> None:
    if count != expected:
        raise InputError(
            f"{header.path}: ElementDataFile names {count} files, expected {expected} for DimSize = "
            f"{header.fields['DimSize']}",
            remedy="name every file of the volume in the header",
        )
