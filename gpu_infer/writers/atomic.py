"""Several files that appear together or not at all."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import ConfigError, GpuInferError, ResourceError

SUFFIX = ".partial"
"""Of the hidden folders in which files are made before they appear."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = {errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR}


@contextmanager
def staging(folder: Path, name: str) -> Iterator[Path]:
    """A hidden folder inside `folder` to write into; gone after the block, however that ends.

    It is locked meanwhile: what a killed process leaves is not (`unfinished`).

    An `OSError` of the block becomes `ResourceError` (disk full) or `ConfigError` (missing, read-only),
    naming `folder`.
    """
    try:
        stage = Path(tempfile.mkdtemp(prefix=f".{name}.", suffix=SUFFIX, dir=folder))
    except OSError as error:
        raise explained(error, folder) from error
    lock: int | None = None
    try:
        with suppress(OSError):  # a file system without locks; nobody then takes the folder for a dead one's
            lock = os.open(stage, os.O_RDONLY)
            fcntl.flock(lock, fcntl.LOCK_SH)
        yield stage
    except OSError as error:
        raise explained(error, folder) from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def check_folder(folder: Path) -> None:
    """Raise `ConfigError` for a folder that is missing or cannot be written, `ResourceError` for a full disk.

    Tried rather than asked: permission bits say nothing about a read-only mount or about root.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder", remedy="create it, or mount it into the container")
    with staging(folder, "check"):
        pass


def publish(stage: Path, names: Sequence[str], folder: Path, *, obsolete: Sequence[str] = ()) -> None:
    """Move the finished files `names` from `stage` to `folder`; the last one makes the others valid.

    Older files of these names (and of `obsolete`) step aside first, that one first of all, so that at no time
    an old header stands beside new voxels; when a step fails they come back.
    """
    for name in names:
        sync(stage / name)
    aside = stage / "replaced"
    aside.mkdir()
    moved: list[str] = []
    placed: list[str] = []
    try:
        for name in [*reversed(names), *obsolete]:
            if (folder / name).exists():
                moved.append(name)  # noted first: an interrupt may come between the two
                (folder / name).rename(aside / name)
        for name in names:
            placed.append(name)
            (stage / name).rename(folder / name)
    except BaseException:
        for name in reversed(placed):
            with suppress(OSError):
                (folder / name).unlink()
        for name in reversed(moved):
            with suppress(OSError):
                (aside / name).rename(folder / name)
        raise
    sync(folder)


def sync(path: Path) -> None:
    """Flush a file, or a folder's entries, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems cannot sync folders
            raise
    finally:
        os.close(handle)


def check_space(folder: Path, nbytes: int) -> None:
    """`ResourceError` when `folder`'s file system has less than `nbytes` left, `ConfigError` without it."""
    try:
        stats = os.statvfs(folder)
    except OSError as error:
        raise explained(error, folder) from error
    free = stats.f_bavail * stats.f_frsize
    if free < nbytes:
        raise ResourceError(
            f"{folder}: {free} bytes free, expected at least {nbytes}",
            remedy="free space or give another output folder",
        )


def explained(error: OSError, folder: Path) -> GpuInferError:
    """The error of the hierarchy that says what to do about `error`."""
    reason = error.strerror or str(error)
    if error.errno in _FULL:
        return ResourceError(f"{folder}: {reason}", remedy="free space or give another output folder")
    if error.errno in _REFUSED:
        return ConfigError(
            f"{folder}: cannot be written: {reason}",
            remedy="give an existing folder that this user may write to",
        )
    return ResourceError(f"{folder}: writing failed: {reason}", remedy="check the disk")
