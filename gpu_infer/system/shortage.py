"""Errors of the operating system that mean a lack of some resource, as one line with a remedy."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

from gpu_infer.errors import ConfigError, GpuInferError, ResourceError

_REMEDIES = {
    errno.EMFILE: "raise the limit of open files (ulimit -n), at least 256 are needed",
    errno.ENFILE: "close other programs, or raise fs.file-max",
    errno.ENOSPC: "free some space there, or name another folder (TMPDIR, GPU_INFER_CACHE, --output, --logs)",
    errno.EDQUOT: "free some of the quota, or name another folder (TMPDIR, GPU_INFER_CACHE, --output, --logs)",
    errno.ENOMEM: "give the run more memory",
    errno.EAGAIN: "allow more processes and threads (ulimit -u, the container's pids limit)",
}
_TEXTS = {
    "Too many open files": errno.EMFILE,
    "No space left on device": errno.ENOSPC,
    "Cannot allocate memory": errno.ENOMEM,
    "can't start new thread": errno.EAGAIN,
}
"""Parts of messages of errors without a number, as of the dynamic linker."""


def shortage(error: BaseException) -> GpuInferError | None:
    """The error for a lack of files, space, memory, processes or working folder that caused `error`; None: none did."""
    if isinstance(error, FileNotFoundError) and not _has_working_folder():
        return ConfigError("the working folder was removed", remedy="change to a folder that exists")
    for cause in _chain(error):
        if isinstance(cause, MemoryError):
            number = errno.ENOMEM
        else:
            text = str(cause)
            number = getattr(cause, "errno", None) or next((n for part, n in _TEXTS.items() if part in text), 0)
        if isinstance(cause, BlockingIOError):  # EAGAIN: of a file that is not ready, or of a fork
            if _is_of_start(cause):
                return ResourceError(f"no process can be started: {cause}", remedy=_REMEDIES[errno.EAGAIN])
            continue
        if number in _REMEDIES:
            message = str(cause) or "out of memory"
            return ResourceError(message, remedy=_REMEDIES[number])
    return None


def _is_of_start(error: BaseException) -> bool:
    """Whether one of Python's modules that start processes raised an error."""
    trace, module = error.__traceback__, ""
    while trace is not None:
        module, trace = trace.tb_frame.f_globals.get("__name__", ""), trace.tb_next
    return module == "subprocess" or module.startswith("multiprocessing.popen_")


def _has_working_folder() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return False
    return True


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__
