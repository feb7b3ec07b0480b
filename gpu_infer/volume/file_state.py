"""Whether files are still those whose header was read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from gpu_infer.errors import InputError
from gpu_infer.volume.files import file_status


class FileState(NamedTuple):
    """What differs if a file is replaced or written to."""

    device: int
    inode: int
    nbytes: int
    modified_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> FileState:
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def file_states(paths: Iterable[Path]) -> dict[Path, FileState]:
    """The present states of files. Raises `InputError` for one that is missing or no regular file."""
    return {path: FileState.of(file_status(path)) for path in paths}


def check_unchanged(states: Mapping[Path, FileState]) -> None:
    """Raise `InputError` for a file that is missing, or whose state is another one now."""
    for path, state in states.items():
        if FileState.of(file_status(path)) != state:
            raise InputError(
                f"{path}: changed since its header was read, expected the file that was there at the start",
                remedy="wait until the file is complete, and run again",
            )
