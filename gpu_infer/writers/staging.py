"""Hidden folders in which files are made before they appear, and the locks that tell living ones from dead ones.

A run makes its folder, and locks it, while it holds the lock of the folder around it. Whoever holds that lock and
finds a hidden folder without a lock of its own knows that its run is dead.
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
"""Ending of the hidden folders' names."""

MARK = ".gpu_infer"
"""Empty file in each of them: a hidden folder without it was made by another program, unless it is empty, too."""

ASIDE = "replaced"
"""Folder in it with the older files that stepped aside; in those of version 0.1.0 the only mark."""

_PATTERN = f".*.{'?' * 8}{SUFFIX}"
"""A prefix, then eight characters of `tempfile`."""

_PREFIX_BYTES = 64
"""Of an output's name in that of its hidden folder: a name of 255 bytes is a name, with more added it is none."""

HIDDEN_BYTES = 1 + _PREFIX_BYTES + 1 + 8 + len(SUFFIX)
"""At most, in the name of a hidden folder."""

_WAIT_S = 60.0
"""Locks are held for some renames; a longer wait means that another program holds the folder."""

_POLL_S = 0.005


@contextmanager
def folder_lock(folder: Path) -> Iterator[bool]:
    """Hold the one lock of `folder`; False if its file system knows no locks on folders.

    Not reentrant. Raises `OSError` for a folder that cannot be opened, `ResourceError` after 60 s.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield _lock(handle, folder)
    finally:
        os.close(handle)


def make_stage(folder: Path, name: str) -> tuple[Path, int | None]:
    """Make a hidden folder inside `folder`; it and the handle that holds its lock, None without locks.

    The lock ends with the handle, also when the process is killed. Raises what `folder_lock` raises.
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
    """Every hidden folder of this kind in `folder`, living and dead, sorted."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.glob(_PATTERN) if path.is_dir() and not path.is_symlink() and _is_ours(path))


def remove_stage(stage: Path) -> None:
    """Remove everything in `stage`, its mark last, then itself; what cannot be removed stays without an error."""
    with suppress(OSError):
        for path in stage.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name != MARK:
                path.unlink(missing_ok=True)
        (stage / MARK).unlink(missing_ok=True)
        stage.rmdir()


@contextmanager
def claim(stage: Path) -> Iterator[bool]:
    """Whether nobody writes into `stage` any more; nobody else can claim it inside the block.

    Only while `folder_lock` of its folder is held. Raises `PermissionError` for a stage of another user.
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
    except PermissionError:  # of another user; by its name it is one
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
