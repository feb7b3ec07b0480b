"""Copies of files for the publish folder, with the permissions of their sources."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path

from gpu_infer.errors import InputError
from gpu_infer.writers.header_fields import DATA_FILE, read_fields
from gpu_infer.writers.metaimage import write_header
from gpu_infer.writers.names import voxel_stem
from gpu_infer.writers.staging import folder_lock


def check_present(files: Iterable[Path]) -> None:
    """Raise `InputError` for a file that does not exist any more."""
    for file in files:
        if not file.is_file():
            raise InputError(f"{file}: removed since it was read", remedy="run again, and leave the input alone")


def copy_file(source: Path, target: Path) -> None:
    """Copy bytes and permissions."""
    shutil.copyfile(source, target)
    target.chmod(stat.S_IMODE(source.stat().st_mode) & 0o777)


def copy_mask(mhd: Path, stage: Path, name: str) -> list[str]:
    """Copy a MetaImage under a new name into `stage`, and return the names of voxels and header.

    The header changes in ElementDataFile only. Both files are opened while no run can replace them, so that they belong
    together. Raises `InputError` for a header without voxels in its folder.
    """
    with folder_lock(mhd.parent):
        fields = read_fields(mhd)
        data = mhd.parent / fields[DATA_FILE] if fields else None
        if fields is None or data is None or not data.is_file():
            reason = (
                "no MetaImage header"
                if fields is None
                else f"{DATA_FILE} {fields[DATA_FILE]!r} is not a file beside it"
            )
            raise InputError(f"{mhd}: {reason}", remedy="write the mask again")
        voxels = data.open("rb")
    with voxels:
        status = os.fstat(voxels.fileno())
        renamed = stage / f"{voxel_stem(name)}{data.suffix}"
        with renamed.open("wb") as copy:
            shutil.copyfileobj(voxels, copy, 1 << 22)
    header = stage / f"{name}.mhd"
    write_header(header, {**fields, DATA_FILE: renamed.name}, status.st_size)
    for path in (renamed, header):
        path.chmod(stat.S_IMODE(status.st_mode) & 0o666)
    return [renamed.name, header.name]


def common_permissions(files: Iterable[Path]) -> int:
    """Return the permission bits that all `files` have, without execute permission."""
    mode = 0o666
    for file in files:
        mode &= file.stat().st_mode
    return mode
