"""Files that a volume may be read from: regular ones, and data files that lie with their header."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from gpu_infer.errors import GpuInferError, InputError, ResourceError

_SCARCE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for unbuffered reading; anything else is refused at once, without waiting for a writer.

    Raises `InputError` in one line for what is missing, unreadable, a FIFO, socket, device, folder or link loop, and
    for a name that no file can have.
    """
    file_size(path)  # before it is opened: a device may act on that
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise unreadable(path, error) from None
    file = os.fdopen(fd, "rb", buffering=0)
    try:
        _check_regular(path, os.fstat(fd))
    except InputError:
        file.close()
        raise
    return file


def file_size(path: Path) -> int:
    """Bytes of a regular file. Raises `InputError` as `open_regular` does."""
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from None
    _check_regular(path, status)
    return status.st_size


def data_file(header: Path, name: str, *, allow_foreign: bool = False) -> Path:
    """Path of the data file that `header` names.

    A volume comes from others, so its header may not point at arbitrary files of this machine: after links are
    resolved, the file must lie in the header's folder or below. Raises `InputError`.
    """
    if not name or "\0" in name:
        raise InputError(f"{header}: data file {name!r}, expected a file name", remedy="repair the header")
    path = header.parent / name
    what = f"{header}: data file {name[:200]}"
    try:
        target = path.resolve(strict=True)
        homes = {header.parent.resolve(), header.resolve().parent}
    except FileNotFoundError:
        raise InputError(
            f"{what} not found in {header.parent}",
            remedy="copy the header together with its data files",
        ) from None
    except (OSError, RuntimeError) as error:
        raise unreadable(path, error) from None
    if not allow_foreign and not any(target.is_relative_to(home) for home in homes):
        raise InputError(
            f"{what} lies outside the header's folder",
            remedy="move it there, or pass --allow-foreign-data-files if the header can be trusted",
        )
    file_size(path)
    return path


def _check_regular(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise InputError(f"{path}: {kind}, expected a regular file", remedy="give the volume's own file")


def unreadable(path: Path, error: Exception) -> GpuInferError:
    """The error for a file or folder that the system refuses to open or read."""
    if isinstance(error, OSError) and error.errno in _SCARCE:
        return ResourceError(f"{path}: cannot be read: {_reason(error)}", remedy="allow more open files or memory")
    if isinstance(error, FileNotFoundError):
        return InputError(f"{path}: no such file", remedy="check the input path")
    return InputError(f"{path}: cannot be read: {_reason(error)}", remedy="check name and permissions")


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or " ".join(str(error).split())
