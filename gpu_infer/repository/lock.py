"""The lock of a model repository, held while an entry is written or removed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from gpu_infer.errors import ConfigError

PARTIAL = ".gpu-infer-"
"""Prefix of hidden folders in which an entry is written, and into which the one that it replaces is moved."""


@contextlib.contextmanager
def locked_repository(repository: Path) -> Iterator[None]:
    """Create the folder if it is missing, and hold its lock; remove what a killed process left there."""
    try:
        repository.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(repository, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigError(
            f"model repository {repository} cannot be used: {error.strerror}", remedy="give another folder (--models)"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        for folder in repository.glob(PARTIAL + "*"):
            shutil.rmtree(folder, ignore_errors=True)
        yield
    finally:
        os.close(descriptor)


def interrupted_folders(repository: Path) -> list[Path]:
    """Hidden folders of processes that were killed; none while a process holds the lock, since it may be writing."""
    folders = sorted(repository.glob(PARTIAL + "*"))
    if not folders:
        return []
    descriptor = os.open(repository, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return []
    finally:
        os.close(descriptor)
    return folders
