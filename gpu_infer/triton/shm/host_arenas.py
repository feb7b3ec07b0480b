"""Host memory for slots: a POSIX segment that a server can map, or private pages for inline data."""

from __future__ import annotations

import atexit
import errno
import mmap
import os
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gpu_infer.errors import ResourceError
from gpu_infer.triton.shm.naming import SHM_FOLDER, create_locked, is_at

# What must not outlive the process: atexit closes what is still in it. Being in it keeps nothing alive.
_live: weakref.WeakSet[SystemArena] = weakref.WeakSet()


class HostArena:
    """`nbytes` of private, page-aligned, zeroed memory. Fulfils `arena.Arena`."""

    def __init__(self, nbytes: int) -> None:
        if nbytes <= 0:
            raise ValueError(f"nbytes must be positive, not {nbytes}")
        self.nbytes = nbytes
        try:
            self._pages: mmap.mmap | None = mmap.mmap(-1, nbytes)
        except (OSError, MemoryError, OverflowError) as error:
            raise ResourceError(
                f"no {_mib(nbytes)} of memory for the slots: {error}",
                remedy="use fewer slots or a smaller batch_size",
            ) from None

    def view(self, offset: int, shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
        """C-ordered array over the block from `offset` bytes on; ValueError when it does not fit."""
        return _view(self._pages, self.nbytes, offset, shape, dtype)

    def close(self) -> None:
        """Give the pages back, as soon as no view of them is left."""
        self._pages = None  # unmapped with the last view: closing it would leave views that point nowhere


class SystemArena:
    """`nbytes` of zeroed POSIX shared memory, in a new segment `name` that this process alone owns.

    `key` ("/name") is what a server opens. The segment has mode 0600: the server must run as the same user or
    as root. Every page is reserved at once, so that a /dev/shm that is too small shows here as ResourceError
    and not as SIGBUS at some later write. Fulfils `arena.Arena`; `close` removes the segment, and so does the
    end of the interpreter.
    """

    def __init__(self, nbytes: int, folder: Path = SHM_FOLDER) -> None:
        if nbytes <= 0:
            raise ValueError(f"nbytes must be positive, not {nbytes}")
        self.nbytes = nbytes
        self.in_use_by_server = False  # set where the server still knows the region: the file lets `leftovers` find it
        self._kept = False
        self._owner = os.getpid()
        self._pages: mmap.mmap | None = None
        try:
            self.name, self._fd = create_locked(folder)
        except OSError as error:
            raise ResourceError(
                f"no shared memory segment can be made in {folder}: {error.strerror}",
                remedy="make /dev/shm writable",
            ) from None
        self.path = folder / self.name
        _live.add(self)
        try:
            os.posix_fallocate(self._fd, 0, nbytes)
            self._pages = mmap.mmap(self._fd, nbytes)
        except OSError as error:
            self.close()
            if error.errno not in (errno.ENOSPC, errno.ENOMEM, errno.EFBIG, errno.EDQUOT):
                raise
            raise _too_small(nbytes, folder) from None
        except BaseException:
            self.close()
            raise

    @property
    def key(self) -> str:
        """The name by which a server opens the segment."""
        return f"/{self.name}"

    def view(self, offset: int, shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
        """C-ordered array over the block from `offset` bytes on; ValueError when it does not fit."""
        return _view(self._pages, self.nbytes, offset, shape, dtype)

    def close(self) -> None:
        """Remove the segment, as soon as may be: the memory goes with the last view of it."""
        self._pages = None  # unmapped with the last view, as above
        if self._fd >= 0:
            # A forked child holds the same descriptor but owns nothing.
            if self._owner == os.getpid() and is_at(self._fd, self.path):
                self._kept = self.in_use_by_server
                if not self._kept:
                    self.path.unlink(missing_ok=True)
            os.close(self._fd)
            self._fd = -1
        _live.discard(self)

    def remove_kept(self) -> None:
        """Remove the file that `close` left because the server still used it, unless the segment is open."""
        if self._fd < 0 and self._kept:
            self.path.unlink(missing_ok=True)
            self._kept = False

    def __del__(self) -> None:
        if getattr(self, "_fd", -1) >= 0:
            self.close()


def check_space(nbytes: int, folder: Path = SHM_FOLDER) -> None:
    """The ResourceError of a `SystemArena` that `folder` has no space for, without making one."""
    if _free(folder) < nbytes:
        raise _too_small(nbytes, folder)


def _too_small(nbytes: int, folder: Path) -> ResourceError:
    return ResourceError(
        f"no {_mib(nbytes)} of shared memory for the slots: {folder} has {_mib(_free(folder))} free",
        remedy="enlarge it (docker run --shm-size=2g), use fewer slots or a smaller batch_size",
    )


def _view(pages: mmap.mmap | None, nbytes: int, offset: int, shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
    if pages is None:
        raise ValueError("the arena is closed")
    needed = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    if offset < 0 or offset + needed > nbytes:
        raise ValueError(f"a view of {needed} bytes at {offset} does not fit an arena of {nbytes} bytes")
    return np.ndarray(tuple(shape), dtype, buffer=pages, offset=offset)


def _mib(nbytes: int) -> str:
    return f"{nbytes / 2**20:.1f} MiB"


def _free(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def _close_all() -> None:
    for arena in list(_live):
        arena.close()


atexit.register(_close_all)
