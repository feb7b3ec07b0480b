"""Stages: hidden folders in which files are written before they appear, and locks that show whether their run is alive.

A run makes its stage inside the output folder, and locks it, while it has the lock of the output folder. A process that
has the lock of the output folder and sees a stage without a lock knows that the stage's run is dead.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gpu_infer.errors import ResourceError

SUFFIX = ".partial"
"""Ending of the stages' names."""

MARK = ".gpu_infer"
"""Empty file in each stage. A hidden folder without it belongs to another program, unless the folder is empty, too."""

ASIDE = "replaced"
"""Folder in a stage with the older files that moved aside; the only mark in stages of version 0.1.0."""

_PATTERN = f".*.{'?' * 8}{SUFFIX}"
"""A prefix, then eight characters from `tempfile`."""

_PREFIX_BYTES = 64
"""Bytes of an output's name in its stage's name: a file name may have 255 bytes, and the stage's name is longer."""

HIDDEN_BYTES = 1 + _PREFIX_BYTES + 1 + 8 + len(SUFFIX)
"""Largest number of bytes in a stage's name."""

_WAIT_S = 60.0
"""A lock lasts for some renames; a longer wait means that another program has locked the folder."""

_POLL_S = 0.005


@contextmanager
def folder_lock(folder: Path) -> Iterator[bool]:
    """Lock `folder` during the block; the value is False if its file system has no locks on folders.

    Not reentrant. Raises `OSError` if the folder cannot be opened, `ResourceError` after 60 s.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield _lock(handle, folder)
    finally:
        os.close(handle)


def make_stage(folder: Path, name: str) -> tuple[Path, int | None]:
    """Make a stage inside `folder`; return it and the handle that has its lock, None without locks.

    The lock ends with the handle, also if the process is killed. Raises what `folder_lock` raises.
    """
    prefix = os.fsdecode(os.fsencode(name)[:_PREFIX_BYTES])
    with folder_lock(folder):
        stage = Path(tempfile.mkdtemp(prefix=f".{prefix}.", suffix=SUFFIX, dir=folder))
        handle: int | None = None
        try:
            with suppress(OSError):
                handle = os.open(stage, os.O_RDONLY)
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            (stage / MARK).touch()
        except BaseException:  # an interrupt, or a full disk
            remove_stage(stage)
            raise
    return stage, handle


def find_stages(folder: Path) -> list[Path]:
    """All stages in `folder`, of living and of dead runs, sorted."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.glob(_PATTERN) if path.is_dir() and not path.is_symlink() and _is_ours(path))


def remove_stage(stage: Path) -> None:
    """Remove everything in `stage`, its mark last, then the stage; what cannot be removed stays, without an error."""
    with suppress(OSError):
        for path in stage.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name != MARK:
                path.unlink(missing_ok=True)
        (stage / MARK).unlink(missing_ok=True)
        stage.rmdir()


@contextmanager
def claim_stage(stage: Path) -> Iterator[bool]:
    """Try to lock `stage` during the block; the value is True if no run writes into it any more.

    Call it inside `folder_lock` of its folder. Raises `PermissionError` for a stage of another user.
    """
    try:
        handle = os.open(stage, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY)
    except FileNotFoundError:
        yield False
        return
    try:
        yield _try_lock(handle)
    finally:
        os.close(handle)


def _is_ours(path: Path) -> bool:
    try:
        names = [entry.name for entry in path.iterdir()]
    except FileNotFoundError:
        return False
    except PermissionError:  # another user's; its name alone makes it a stage
        return True
    return not names or MARK in names or ASIDE in names


def _lock(handle: int, folder: Path) -> bool:
    deadline = time.monotonic() + _WAIT_S
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                return False
        else:
            return True
        if time.monotonic() > deadline:
            raise ResourceError(
                f"{folder}: locked by another program for {_WAIT_S:.0f} s, expected a moment",
                remedy="see with lslocks who holds it",
            )
        time.sleep(_POLL_S)


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
