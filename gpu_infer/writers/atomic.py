"""Output folders, and several files that appear in one together or not at all."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from gpu_infer.errors import ConfigError, GpuInferError, ResourceError
from gpu_infer.system.atomic_file import sync
from gpu_infer.writers.journal import Journal, discard, undo
from gpu_infer.writers.older_files import OlderFiles
from gpu_infer.writers.staging import ASIDE, folder_lock, make_stage
from gpu_infer.writers.unfinished import undo_unfinished_moves

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""Numbers of errors of a full disk."""
_REFUSED = {errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR}
_KINDS = ((stat.S_ISDIR, "folder"), (stat.S_ISLNK, "link"), (stat.S_ISFIFO, "FIFO"), (stat.S_ISSOCK, "socket"))


@contextmanager
def open_stage(folder: Path, name: str) -> Iterator[Path]:
    """Make a hidden folder inside `folder` to write into, and remove it after the block.

    It is locked during the block, so that `unfinished` can tell it from the one of a killed process. It stays if it has
    the only copy of an older file that could not be put back.

    An `OSError` of the block becomes `ResourceError` (disk full, folder removed) or `ConfigError` (read-only), which
    name `folder`. An `OSError` before the block becomes `ConfigError` also if `folder` is missing.
    """
    try:
        stage, lock = make_stage(folder, name)
    except OSError as error:
        raise folder_error(error, folder) from error
    try:
        yield stage
    except OSError as error:
        if error.errno == errno.ENOENT:
            raise ResourceError(
                f"{folder}: removed while {name} was written into it",
                remedy="run again, and leave the folder alone meanwhile",
            ) from error
        raise folder_error(error, folder) from error
    finally:
        with suppress(OSError):
            discard(stage)
        if lock is not None:
            os.close(lock)


def publish(
    stage: Path,
    names: Sequence[str],
    folder: Path,
    *,
    obsolete: Sequence[str] = (),
    check: Callable[[], None] | None = None,
    rename_older: Callable[[], OlderFiles] | None = None,
) -> None:
    """Move the finished files `names` from `stage` to `folder`; the last one makes the others valid.

    Older files of these names (and of `obsolete`) move aside first, the last name's before all others, so that an old
    header never stands next to new voxels. If a step fails, they move back. One writer at a time does this in a folder;
    each writer first undoes the unfinished move of a killed one.

    Args:
        stage: folder of `open_stage`.
        names: in the order in which the files appear.
        folder: on the same file system.
        obsolete: older files without a successor; they are removed.
        check: is called before the first file moves, while no other writer moves files into `folder`; it may raise.
        rename_older: is called after it; makes older files under new names in `stage`, which appear first.
    """
    for name in names:
        sync(stage / name)
    with folder_lock(folder):
        undo_unfinished_moves(folder)
        if check is not None:
            check()
        if rename_older is not None:
            others = rename_older()
            for name in others.names:
                sync(stage / name)
            names, obsolete = [*others.names, *names], [*obsolete, *others.obsolete]
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


def make_folder(folder: Path) -> None:
    """Make `folder` and its parents if they are missing. Raises `ConfigError` or `ResourceError`, which name it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise folder_error(error, folder) from error


def check_folder(folder: Path) -> None:
    """Raise `ConfigError` if `folder` is missing or cannot be written, `ResourceError` if the disk is full.

    The check writes: permission bits do not show a read-only mount, and root passes them.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder", remedy="create it, or mount it into the container")
    with open_stage(folder, "check"):
        pass


@contextmanager
def still_there(folder: Path) -> Iterator[None]:
    """Turn a `ConfigError` of the block into a `ResourceError` if `folder` does not exist any more.

    For a block that writes into a folder that was checked before: the options are not to blame for its removal.
    """
    try:
        yield
    except ConfigError as error:
        if folder.is_dir():
            raise
        raise ResourceError(
            f"{folder}: removed while the run went on, expected the folder that was there at its start",
            remedy="run again, and leave the folder alone meanwhile",
        ) from error


def check_is_file(path: Path) -> None:
    """Raise `ConfigError` if `path` is a folder, a link or a device: a run writes regular files only."""
    mode = path.lstat().st_mode
    if not stat.S_ISREG(mode):
        kind = next((name for is_kind, name in _KINDS if is_kind(mode)), "special file")
        raise ConfigError(
            f"{path}: found a {kind}, expected no file or an older output",
            remedy="move it away, or give another folder",
        )


def check_space(folder: Path, nbytes: int) -> None:
    """Raise `ResourceError` if `folder`'s file system has less than `nbytes` free, `ConfigError` if it is missing."""
    try:
        stats = os.statvfs(folder)
    except OSError as error:
        raise folder_error(error, folder) from error
    free = stats.f_bavail * stats.f_frsize
    if free < nbytes:
        raise ResourceError(
            f"{folder}: {free} bytes free, expected at least {nbytes}",
            remedy="free space or give another output folder",
        )


def folder_error(error: OSError, folder: Path) -> GpuInferError:
    """Error of this package for an `OSError` in `folder`, with a remedy."""
    reason = error.strerror or str(error)
    if error.errno in FULL:
        return ResourceError(f"{folder}: {reason}", remedy="free space or give another output folder")
    if error.errno in _REFUSED:
        return ConfigError(
            f"{folder}: cannot be written: {reason}",
            remedy="give an existing folder that this user may write to",
        )
    return ResourceError(f"{folder}: writing failed: {reason}", remedy="check the disk")
