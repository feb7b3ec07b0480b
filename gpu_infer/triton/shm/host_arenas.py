"""Host memory for slots: a POSIX segment that a server can map, or private pages for inline data."""

from __future__ import annotations

import atexit
import errno
import mmap
import os
import weakref
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gpu_infer.errors import ResourceError
from gpu_infer.triton.shm.naming import SHM_FOLDER, create_locked, is_at

# Segments that are open: the handler below removes them at the end of the process. The references are weak.
_live: weakref.WeakSet[SystemArena] = weakref.WeakSet()


class HostArena:
    """`nbytes` of private, page-aligned, zeroed memory. An `arena.Arena`."""

    def __init__(self, nbytes: int) -> None:
        if nbytes <= 0:
            raise ValueError(f"nbytes must be positive, not {nbytes}")
        self.nbytes = nbytes
        try:
            self._pages: mmap.mmap | None = mmap.mmap(-1, nbytes)
        except (OSError, MemoryError, OverflowError) as error:
            raise ResourceError(
                f"the slots need {_mib(nbytes)} of memory: {error}",
                remedy="use fewer slots or a smaller batch_size",
            ) from None

    def view(self, offset: int, shape: Sequence[int], dtype: DTypeLike) -> NDArray[np.generic]:
        """C-ordered array over the arena from `offset` bytes on; ValueError if it does not fit."""
        return _view(self._pages, self.nbytes, offset, shape, dtype)

    def close(self) -> None:
        """Release the pages; the kernel frees them with their last view."""
        self._pages = None  # unmapped with the last view: mmap.close() would leave views without memory


class SystemArena:
    """`nbytes` of zeroed POSIX shared memory, in a new segment `name` of this process. An `arena.Arena`.

    A server opens `key` ("/name"). The segment has mode 0600: the server must run as the same user or as root. Every
    page is reserved at once, so that a /dev/shm that is too small causes a ResourceError here and not SIGBUS at a later
    write. `close` and the end of the interpreter remove the segment.
    """

    def __init__(self, nbytes: int, folder: Path = SHM_FOLDER) -> None:
        if nbytes <= 0:
            raise ValueError(f"nbytes must be positive, not {nbytes}")
        self.nbytes = nbytes
        self.in_use_by_server = False  # while a server may know the region: the file must stay for `leftovers`
        self._file_stays = False
        self._owner = os.getpid()
        self._pages: mmap.mmap | None = None
        try:
            self.name, self._fd = create_locked(folder)
        except OSError as error:
            raise ResourceError(
                f"{folder}: cannot make a shared memory segment: {error.strerror}",
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

    def view(self, offset: int, shape: Sequence[int], dtype: DTypeLike) -> NDArray[np.generic]:
        """C-ordered array over the arena from `offset` bytes on; ValueError if it does not fit."""
        return _view(self._pages, self.nbytes, offset, shape, dtype)

    def close(self) -> None:
        """Remove the segment now, unless a server uses it; the kernel frees its pages with their last view."""
        self._pages = None  # see HostArena.close
        if self._fd >= 0:
            # A forked child has the same descriptor, but the segment belongs to its parent.
            if self._owner == os.getpid() and is_at(self._fd, self.path):
                self._file_stays = self.in_use_by_server
                if not self._file_stays:
                    self.path.unlink(missing_ok=True)
            fd, self._fd = self._fd, -1  # first: after an interrupt, its number may be that of another file
            os.close(fd)
        _live.discard(self)

    def remove_file(self) -> None:
        """Remove the file that `close` did not remove because the server used it, unless the segment is open."""
        if self._fd < 0 and self._file_stays:
            self.path.unlink(missing_ok=True)
            self._file_stays = False

    def __del__(self) -> None:
        if getattr(self, "_fd", -1) >= 0:
            self.close()


def check_space(nbytes: int, folder: Path = SHM_FOLDER) -> None:
    """Raise the ResourceError of a `SystemArena` that `folder` has no space for, without making one."""
    if _free(folder) < nbytes:
        raise _too_small(nbytes, folder)


def _too_small(nbytes: int, folder: Path) -> ResourceError:
    return ResourceError(
        f"the slots need {_mib(nbytes)} of shared memory, but {folder} has {_mib(_free(folder))} free",
        remedy="enlarge it (docker run --shm-size=2g), use fewer slots or a smaller batch_size",
    )


def _view(
    pages: mmap.mmap | None, nbytes: int, offset: int, shape: Sequence[int], dtype: DTypeLike
) -> NDArray[np.generic]:
    if pages is None:
        raise ValueError("the arena is closed")
    needed = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    if offset < 0 or offset + needed > nbytes:
        raise ValueError(f"a view of {needed} bytes at {offset} does not fit an arena of {nbytes} bytes")
    return np.ndarray(tuple(shape), dtype, buffer=pages, offset=offset)


def _mib(nbytes: int) -> str:
    return f"{nbytes / 2**20:.1f} MiB"


def _free(folder: Path) -> int:
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


def _close_all() -> None:
    for arena in list(_live):
        arena.close()


atexit.register(_close_all)
