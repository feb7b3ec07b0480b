"""Files from which a volume may be read: regular files, and data files in the folder of their header or below."""

from __future__ import annotations

import errno
import io
import os
import stat
from pathlib import Path

from gpu_infer.errors import GpuInferError, InputError, ResourceError

_SCARCE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}


def open_regular(path: Path) -> io.FileIO:
    """Open a regular file for unbuffered reading, without waiting for the writer of a FIFO.

    Raises `InputError` for a file that is missing or unreadable, for a FIFO, socket, device, folder or link loop, and
    for a name that no file can have.
    """
    file_size(path)  # before it is opened: opening some devices has effects
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
    """Return the bytes of a regular file. Raises `InputError` as `open_regular` does."""
    return file_status(path).st_size


def file_status(path: Path) -> os.stat_result:
    """Return the status of a regular file. Raises `InputError` as `open_regular` does."""
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from None
    _check_regular(path, status)
    return status


def data_file(header: Path, name: str, *, allow_foreign: bool = False) -> Path:
    """Return the path of the data file `name` of a header.

    Volumes come from other people, so a header must not point at arbitrary files of this machine: after links are
    resolved, the file must be in the header's folder or below, unless `allow_foreign`. Raises `InputError`.
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
    """Error for a file or folder that the system refuses to open or read."""
    if isinstance(error, OSError) and error.errno in _SCARCE:
        return ResourceError(f"{path}: cannot be read: {_reason(error)}", remedy="allow more open files or memory")
    if isinstance(error, FileNotFoundError):
        return InputError(f"{path}: no such file", remedy="check the input path")
    return InputError(f"{path}: cannot be read: {_reason(error)}", remedy="check name and permissions")


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or " ".join(str(error).split())
