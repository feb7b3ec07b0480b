"""Several files that appear together or not at all."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from gpu_infer.errors import ConfigError, GpuInferError, ResourceError
from gpu_infer.writers.journal import Journal, discard, undo
from gpu_infer.writers.stages import ASIDE, folder_lock, make_stage
from gpu_infer.writers.sync import sync
from gpu_infer.writers.unfinished import settle_moves

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = {errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR}
_KINDS = ((stat.S_ISDIR, "folder"), (stat.S_ISLNK, "link"), (stat.S_ISFIFO, "FIFO"), (stat.S_ISSOCK, "socket"))


@contextmanager
def staging(folder: Path, name: str) -> Iterator[Path]:
    """A hidden folder inside `folder` to write into; gone after the block, however that ends.

    It is locked meanwhile, so that `unfinished` can tell it from that of a killed process. It stays if it holds the
    only copy of an older file that could not be put back.

    An `OSError` of the block becomes `ResourceError` (disk full, folder removed) or `ConfigError` (read-only), naming
    `folder`; one before it `ConfigError`, too, if `folder` is missing.
    """
    try:
        stage, lock = make_stage(folder, name)
    except OSError as error:
        raise explained(error, folder) from error
    try:
        yield stage
    except OSError as error:
        if error.errno == errno.ENOENT:
            raise ResourceError(
                f"{folder}: removed while {name} was written into it",
                remedy="run again, and leave the folder alone meanwhile",
            ) from error
        raise explained(error, folder) from error
    finally:
        with suppress(OSError):
            discard(stage)
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


def publish(
    stage: Path,
    names: Sequence[str],
    folder: Path,
    *,
    obsolete: Sequence[str] = (),
    check: Callable[[], None] | None = None,
) -> None:
    """Move the finished files `names` from `stage` to `folder`; the last one makes the others valid.

    Older files of these names (and of `obsolete`) step aside first, that one first of all, so that at no time
    an old header stands beside new voxels; when a step fails they come back. One writer at a time does this in a
    folder; each first undoes what a killed one had begun.

    check  called before the first file moves, when nobody else moves files into `folder`; it may raise
    """
    for name in names:
        sync(stage / name)
    with folder_lock(folder):
        settle_moves(folder)
        if check is not None:
            check()
        older = [name for name in (*reversed(names), *obsolete) if os.path.lexists(folder / name)]
        for name in older:
            check_is_file(folder / name)
        (stage / ASIDE).mkdir()
        Journal.begin(stage, names)
        sync(folder)  # its entry of the stage, without which the journal is lost
        try:
            for name in older:
                (folder / name).rename(stage / ASIDE / name)
            for name in names:
                (stage / name).rename(folder / name)
        except BaseException:
            with suppress(OSError):
                undo(stage, folder)
            raise
    sync(folder)


def check_is_file(path: Path) -> None:
    """Raise `ConfigError` if `path` is a folder, a link or a device: what stands there was not written by a run."""
    mode = path.lstat().st_mode
    if not stat.S_ISREG(mode):
        kind = next((name for is_kind, name in _KINDS if is_kind(mode)), "special file")
        raise ConfigError(
            f"{path}: found a {kind}, expected no file or an older output",
            remedy="move it away, or give another folder",
        )


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
