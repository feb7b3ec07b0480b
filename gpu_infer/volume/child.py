"""Call a function that reads a foreign file in a child process, so that a crash of the library becomes an error line.

ITK and GDCM are C++: a hostile header can end the process, hang it, or make it allocate gigabytes. The child has a
limit on memory and a deadline. Its answer is plain data (JSON and raw bytes), never pickled objects.
"""

from __future__ import annotations

import json
import os
import pickle
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from math import prod
from pathlib import Path

import numpy as np

from gpu_infer.errors import GpuInferError, InputError, ResourceError
from gpu_infer.volume.checks import Voxels

Answer = tuple[dict[str, object], list[Voxels]]
"""Return value of a function in the child: values that JSON can represent, and arrays."""

_START_S = 60.0  # includes the start of the interpreter and its imports on a busy machine
_BYTES_PER_S = 4 << 20  # slowest reading that must not time out: text voxels on a network drive
_MAX_HEAD = 64 << 20  # bytes of JSON: enough for the tags of some thousand slices
_COMMAND = "import sys; sys.path[:] = sys.argv[1:]; from gpu_infer.volume.child_main import main; main()"
_REMEDY = "the file is damaged or not what it says: export it again"


def call_in_child(
    function: Callable[..., Answer], *args: object, path: Path, memory: int, seconds: float = 0
) -> Answer:
    """Return `function(*args)`, called in a new process.

    Args:
        function: at module level; the child imports its module before memory is limited.
        args: anything that can be pickled.
        path: the file or folder that errors name.
        memory: bytes that the call may allocate, and most bytes of the arrays that it may return.
        seconds: until the child is killed; 0: a minute, plus the time for `memory` bytes at 4 MiB/s.

    Raises:
        InputError: the child crashed, hung, or sent an invalid answer.
        ResourceError: there is no memory, or no process can be started.
        GpuInferError: an error of this package that the function raised.
    """
    deadline = time.monotonic() + (seconds or _START_S + memory / _BYTES_PER_S)
    request = pickle.dumps((os.getpid(), memory, function.__module__, function.__qualname__, args))
    try:
        stdin = os.memfd_create("gpu_infer-request")
        with os.fdopen(stdin, "r+b") as file:
            file.write(request)
            file.seek(0)
            child = subprocess.Popen(
                [sys.executable, "-I", "-c", _COMMAND, *filter(None, sys.path)],
                stdin=file,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1"},
            )
    except (OSError, MemoryError) as error:
        raise ResourceError(
            f"{path}: no process to read it in: {error}", remedy="allow more processes, descriptors or memory"
        ) from None
    try:
        return _read_answer(_Pipe(child, path, deadline), path, memory)
    finally:
        child.kill()
        child.wait()
        if child.stdout is not None:
            child.stdout.close()


class _Pipe:
    """Stream of the child's answer, with a deadline; signal handlers run while it waits."""

    def __init__(self, child: subprocess.Popen[bytes], path: Path, deadline: float) -> None:
        assert child.stdout is not None
        self._child = child
        self._path = path
        self._deadline = deadline
        self._fd = child.stdout.fileno()
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)

    def fill(self, target: memoryview) -> None:
        done = 0
        while done < len(target):
            remaining_s = self._deadline - time.monotonic()
            if remaining_s <= 0 or not self._poll.poll(remaining_s * 1000):
                raise InputError(f"{self._path}: reading it did not end in time", remedy=_REMEDY)
            count = os.readv(self._fd, [target[done : done + (1 << 20)]])
            if not count:
                raise self._exit_error()
            done += count

    def _exit_error(self) -> GpuInferError:
        try:
            code = self._child.wait(max(self._deadline - time.monotonic(), 1.0))
        except subprocess.TimeoutExpired:
            return InputError(f"{self._path}: reading it did not end in time", remedy=_REMEDY)
        if code == -signal.SIGKILL:
            return ResourceError(
                f"{self._path}: the process that reads it was killed, most likely out of memory",
                remedy="give more memory or a smaller volume",
            )
        how = signal.Signals(-code).name if code < 0 else f"exit {code}"
        return InputError(f"{self._path}: the library that reads it crashed ({how})", remedy=_REMEDY)


def _read_answer(pipe: _Pipe, path: Path, memory: int) -> Answer:
    length = bytearray(8)
    pipe.fill(memoryview(length))
    size = int.from_bytes(length, "little")
    if size > _MAX_HEAD:
        raise InputError(f"{path}: the library that reads it answered nonsense", remedy=_REMEDY)
    text = bytearray(size)
    pipe.fill(memoryview(text))
    try:
        head = json.loads(text)
        if error := head.get("error"):
            raise _error(error, path)
        arrays = [(np.dtype(str(dtype)), tuple(map(int, shape))) for dtype, shape in head["arrays"]]
        values = dict(head["values"])
        if any(dtype.kind not in "iufc" or min(shape, default=0) < 0 for dtype, shape in arrays):
            raise ValueError(arrays)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise InputError(f"{path}: the library that reads it answered nonsense", remedy=_REMEDY) from None
    if sum(dtype.itemsize * prod(shape) for dtype, shape in arrays) > memory:
        raise InputError(f"{path}: more voxels than the header says", remedy=_REMEDY)
    out = []
    for dtype, shape in arrays:
        try:
            array = np.empty(shape, dtype)
        except MemoryError:
            raise ResourceError(f"{path}: no memory for its voxels", remedy="free memory or crop the volume") from None
        pipe.fill(array.reshape(-1).view(np.uint8).data)
        out.append(array)
    return values, out


def _error(error: dict[str, str], path: Path) -> GpuInferError:
    if error["type"] == "MemoryError":
        return ResourceError(f"{path}: no memory to read it", remedy="free memory or crop the volume")
    kind = {"InputError": InputError, "ResourceError": ResourceError}.get(error["type"])
    if kind is None:
        return InputError(f"{path}: cannot be read: {error['message']}", remedy=_REMEDY)
    return kind(error["message"], remedy=error["remedy"] or None)
