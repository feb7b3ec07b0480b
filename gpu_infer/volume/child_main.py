"""Program of the process that `child.py` starts: make one call, write one answer to the pipe, and exit."""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import pickle
import resource
import signal
import sys
from operator import attrgetter
from pathlib import Path

import numpy as np

from gpu_infer.errors import GpuInferError
from gpu_infer.volume.checks import Voxels

_PR_SET_PDEATHSIG = 1
_SLACK = 256 << 20  # bytes on top of the call's limit, for buffers of the library and of this interpreter


def main() -> None:
    """Read the request from stdin, make the call, and write the answer to stdout; output of the library is dropped."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole process group; the parent ends this process
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would contain voxels
    parent, memory, module, name, args = pickle.load(sys.stdin.buffer)
    if os.getppid() != parent:
        return
    answer = os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    os.dup2(null, 2)
    arrays: list[Voxels] = []
    try:
        gc.disable()  # imports make many objects and hardly any garbage
        function = attrgetter(name)(importlib.import_module(module))
        gc.enable()
        _limit(memory)
        values, arrays = function(*args)
        arrays = [np.ascontiguousarray(array) for array in arrays]
        head = {"values": values, "arrays": [(array.dtype.str, array.shape) for array in arrays]}
        text = json.dumps(head)
    except GpuInferError as error:
        text = _error(type(error).__name__, error.message, error.remedy or "")
    except MemoryError:
        text = _error("MemoryError", "", "")
    except Exception as error:
        text = _error("Exception", f"{type(error).__name__}: {' '.join(str(error).split())}", "")
    _write(answer, len(text).to_bytes(8, "little") + text.encode())
    for array in arrays:
        _write(answer, array.reshape(-1).view(np.uint8).data)
    os._exit(0)  # no destructors of a library whose memory may be damaged


def _limit(memory: int) -> None:
    """Limit this process to `memory` bytes more than it has allocated now."""
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    data = next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmData:"))
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = data + memory + _SLACK
    if hard == resource.RLIM_INFINITY or limit < hard:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _error(kind: str, message: str, remedy: str) -> str:
    return json.dumps({"error": {"type": kind, "message": message, "remedy": remedy}})


def _write(fd: int, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view[: 1 << 20]) :]
