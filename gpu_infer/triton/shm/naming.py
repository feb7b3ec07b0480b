"""Names of this program's shared-memory regions, and the lock that tells a live owner from a dead one.

A region and its segment are named `gpu_infer-<pid>-<random>`. The pid is for people who read a listing: containers may
share /dev/shm without sharing pids, so a pid proves nothing. The proof is an flock that the owner holds on the file
/dev/shm/<name>: the kernel drops it whatever way the owner ends, and it works across containers.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from pathlib import Path

SHM_FOLDER = Path("/dev/shm")
PREFIX = "gpu_infer-"
_NAME = re.compile(r"gpu_infer-(\d+)-[0-9a-f]{16}")


def new_name() -> str:
    """A new name, unique by 64 random bits."""
    return f"{PREFIX}{os.getpid()}-{secrets.token_hex(8)}"


def owner_pid(name: str) -> int | None:
    """The pid in a name that `new_name` made, None for any other name."""
    match = _NAME.fullmatch(name)
    return int(match.group(1)) if match else None


def create_locked(folder: Path = SHM_FOLDER) -> tuple[str, int]:
    """(name, descriptor) of a new empty file of mode 0600 on which this process holds the lock.

    Raises OSError if the folder cannot be written.
    """
    while True:
        name = new_name()
        fd = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if is_at(fd, folder / name):
                return name, fd
        except BlockingIOError:
            pass  # a cleaner locked the file first and removes it: try another name
        except BaseException:
            os.close(fd)
            (folder / name).unlink(missing_ok=True)
            raise
        os.close(fd)


def lock_existing(path: Path) -> int:
    """A descriptor that holds the lock of an existing file.

    Raises BlockingIOError if another process holds the lock, another OSError if the file cannot be opened.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(fd)
        raise
    return fd


def is_at(fd: int, path: Path) -> bool:
    """Whether `path` still leads to the open file `fd`."""
    try:
        at_path = path.stat()
    except FileNotFoundError:
        return False
    opened = os.fstat(fd)
    return (at_path.st_dev, at_path.st_ino) == (opened.st_dev, opened.st_ino)
