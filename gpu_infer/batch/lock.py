"""One batch at a time in an output folder, or one per part; the kernel releases the lock of a process that died."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from gpu_infer.batch.engines.parts import Part
from gpu_infer.errors import ConfigError, ResourceError

_NAME = ".gpu_infer.batch.lock"
ORPHANS_S = 20.0
"""Workers of a batch that was killed hold its lock until they have ended."""
_POLL_S = 0.1


@contextmanager
def batch_lock(output: Path, part: Part | None) -> Iterator[tuple[int, ...]]:
    """Hold the lock of a batch in `output` during the block; the value are descriptors for worker processes to inherit.

    A part excludes the same part and a batch without parts. Raises ConfigError if another batch is at work, and
    ResourceError on a file system without locks.
    """
    with ExitStack() as stack:
        whole = stack.enter_context(_locked(output / _NAME, shared=part is not None))
        handles = [whole]
        if part is not None:
            name = f".gpu_infer.part-{part.number}-of-{part.count}.lock"
            handles.append(stack.enter_context(_locked(output / name, shared=False)))
        yield tuple(handles)


@contextmanager
def summary_lock(output: Path) -> Iterator[None]:
    """Wait for the lock under which parts write the summary, one after the other."""
    handle = os.open(output, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # without locks, the last part's summary counts
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextmanager
def _locked(path: Path, *, shared: bool) -> Iterator[int]:
    handle = _open_locked(path, shared=shared)
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()} {socket.gethostname()}".encode(), 0)
        yield handle
    finally:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # not while another part shares it
            path.unlink(missing_ok=True)
        os.close(handle)


def _open_locked(path: Path, *, shared: bool) -> int:
    until = time.monotonic() + ORPHANS_S
    while True:
        handle = _open(path)
        try:
            fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            if os.fstat(handle).st_nlink:  # else its holder has just removed it
                return handle
        except BlockingIOError:
            holder = os.pread(handle, 200, 0).decode(errors="replace").split()
            if not _died(holder) or time.monotonic() > until:
                os.close(handle)
                raise _refusal(path.parent, holder) from None
            time.sleep(_POLL_S)
        except OSError as error:
            os.close(handle)
            raise ResourceError(
                f"{path}: cannot be locked: {error.strerror}",
                remedy="give an output folder on a file system with locks",
            ) from error
        os.close(handle)


def _open(path: Path) -> int:
    """A descriptor of the lock's file, created if missing. Raises ConfigError if a link or a device is in its place."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise _in_the_way(path) from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise _in_the_way(path)
    return handle


def _in_the_way(path: Path) -> ConfigError:
    return ConfigError(f"{path}: found a link or a special file, expected the lock of a batch", remedy="remove it")


def _died(holder: list[str]) -> bool:
    """Whether the process that wrote the lock was one of this host, and has ended."""
    if len(holder) != 2 or holder[1] != socket.gethostname() or not holder[0].isdecimal():
        return False
    return not Path(f"/proc/{holder[0]}").exists()


def _refusal(output: Path, holder: list[str]) -> ConfigError:
    by = f" by process {holder[0]} on {holder[1]}" if len(holder) == 2 else ""
    return ConfigError(
        f"{output}: a batch is being written there{by}", remedy="wait for its end, or give another output folder"
    )
