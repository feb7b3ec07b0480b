"""A zip archive as a folder: unpacked into a temporary folder, which is removed at the end.

An archive comes from other people, so its names, sizes and kinds of entries are checked before anything is written.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from gpu_infer.errors import GpuInferError, InputError, ResourceError
from gpu_infer.redaction import show_as
from gpu_infer.volume.files import open_regular

MOST_FILES = 200_000
MOST_BYTES = 64 << 30
"""Bytes of all files of an archive, unpacked."""

MOST_RATIO = 1000
FREE_RATIO_BYTES = 1 << 20
"""A file may have this many bytes, whatever its compressed size; a larger one at most `MOST_RATIO` times that size."""

_PREFIX = "gpu_infer-zip-"
_LOCK = "lock"
_BLOCK = 1 << 20
_ENCRYPTED = 1  # bit of an entry's flags
_REMEDY = "unpack it yourself and give the folder"


@contextmanager
def unpack(path: Path) -> Iterator[Path]:
    """Unpack the zip `path` and yield the folder, whose name is that of the archive without its extension.

    The folder is below `TMPDIR` (by default /tmp), can be entered by this user only, and is removed at the end. That of
    a killed process is removed when the next archive is unpacked. Files have the permissions of the archive. In errors,
    logs and reports, the path of the archive stands for the folder.

    Raises:
        InputError: no zip; damaged or encrypted; an entry outside the folder, a link or device, two of one name; more
            than `MOST_FILES` files, `MOST_BYTES` bytes, or a file beyond `MOST_RATIO`.
        ResourceError: there is too little space.
    """
    mode = path.stat().st_mode & 0o666
    parent = Path(tempfile.gettempdir())
    remove_abandoned(parent)
    base = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    lock = _lock_folder(base)
    try:
        folder = base / path.stem
        folder.mkdir()
        show_as(str(folder), str(path))
        _unpack_files(path, folder, mode)
        yield folder
    finally:
        shutil.rmtree(base, ignore_errors=True)
        os.close(lock)


def remove_abandoned(parent: Path | None = None) -> list[Path]:
    """Remove what killed processes of this user have unpacked, and return those folders; a living one holds a lock.

    parent  of the folders; None: the folder for temporary files
    """
    removed: list[Path] = []
    for base in sorted((parent or Path(tempfile.gettempdir())).glob(f"{_PREFIX}*")):
        with suppress(OSError):
            status = base.lstat()
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
                continue
            descriptor = os.open(base / _LOCK, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(base)
                removed.append(base)
            finally:
                os.close(descriptor)
    return removed


def _lock_folder(base: Path) -> int:
    """Lock the folder; the lock file appears under its name when it is locked already."""
    descriptor, name = tempfile.mkstemp(dir=base)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    Path(name).rename(base / _LOCK)
    return descriptor


def _unpack_files(path: Path, folder: Path, mode: int) -> None:
    try:
        with open_regular(path) as raw, zipfile.ZipFile(raw) as archive:
            entries = _check_entries(path, archive.infolist())
            _check_space(path, folder, sum(entry.file_size for entry in entries))
            for entry in entries:
                _extract(archive, entry, folder, mode)
    except (GpuInferError, MemoryError):
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _no_space(path, folder) from None
        raise InputError(f"{path}: cannot be unpacked: {error.strerror or 'damaged'}", remedy=_REMEDY) from None
    except Exception as error:  # zipfile and the decompressors raise many types for damaged bytes
        what = "its compression is not supported" if isinstance(error, NotImplementedError) else "damaged or no zip"
        raise InputError(f"{path}: {what}", remedy=f"make the archive again, or {_REMEDY}") from None


def _check_entries(path: Path, entries: Sequence[zipfile.ZipInfo]) -> list[zipfile.ZipInfo]:
    """The files among the entries."""
    if len(entries) > MOST_FILES:
        raise InputError(f"{path}: {len(entries)} files, expected at most {MOST_FILES}", remedy=_REMEDY)
    files = [entry for entry in entries if not entry.is_dir()]
    for number, entry in enumerate(files, 1):
        where = f"{path}: file {number} of {len(files)}"
        name = PurePosixPath(entry.filename)
        if name.is_absolute() or not name.parts or ".." in name.parts or any(c in entry.filename for c in "\\\0"):
            raise InputError(f"{where}: a name outside of the archive, expected a plain path", remedy=_REMEDY)
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise InputError(f"{where}: a link or device, expected regular files", remedy=_REMEDY)
        if entry.flag_bits & _ENCRYPTED:
            raise InputError(f"{where}: encrypted, expected files without a password", remedy=_REMEDY)
        if entry.file_size > max(entry.compress_size * MOST_RATIO, FREE_RATIO_BYTES):
            raise InputError(
                f"{where}: {entry.file_size} bytes from {entry.compress_size}, expected at most {MOST_RATIO} times as"
                " many",
                remedy=_REMEDY,
            )
    if (total := sum(entry.file_size for entry in files)) > MOST_BYTES:
        raise InputError(f"{path}: {total} bytes unpacked, expected at most {MOST_BYTES}", remedy=_REMEDY)
    if len({entry.filename for entry in files}) < len(files):
        raise InputError(f"{path}: two files of one name", remedy=_REMEDY)
    return files


def _check_space(path: Path, folder: Path, nbytes: int) -> None:
    if nbytes > shutil.disk_usage(folder).free:
        raise _no_space(path, folder)


def _no_space(path: Path, folder: Path) -> ResourceError:
    return ResourceError(
        f"{path}: no space to unpack it in {folder.parent.parent}",
        remedy="free some space, or name another folder with TMPDIR",
    )


def _extract(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path, mode: int) -> None:
    target = folder / PurePosixPath(entry.filename)
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(entry) as source, target.open("xb") as file:
        shutil.copyfileobj(source, file, _BLOCK)  # ends after `file_size` bytes, whatever the stream holds
        os.fchmod(file.fileno(), mode | stat.S_IRUSR)
