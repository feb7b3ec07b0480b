"""The end of a process without the interpreter taking itself apart.

Once Numba was loaded, freeing modules and objects one by one takes 0.3 s, as long as reading a CT; the operating
system frees a process at once. Threads are still waited for and Python's exit handlers still run; those of C
libraries do not.

The process ends as usual where somebody else may want to do something at its end: a caller above us (a profiler,
`runpy`), exit handlers that were there before us, libraries put into the process (`LD_PRELOAD`, NVIDIA's tools).
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable
from types import FrameType

_PUT_IN = ("LD_PRELOAD", "CUDA_INJECTION64_PATH", "NVTX_INJECTION64_PATH")


def leaving(body: Callable[[], int], start: FrameType | None) -> int:
    """The exit code of `body`; the process, which must end with it next, ends without freeing every object.

    start  the frame of the module that the interpreter was started with
    """
    if not _alone(start):
        return body()
    codes: list[int] = []
    atexit.register(_leave, codes)  # the first to be registered is the last to run
    code = body()
    codes.append(code)
    return code


def _alone(start: FrameType | None) -> bool:
    frame = start.f_back if start is not None else None
    while frame is not None and frame.f_globals.get("__name__") == "runpy":  # python -m
        if frame.f_code.co_name in ("run_module", "run_path"):
            return False
        frame = frame.f_back
    handlers = getattr(atexit, "_ncallbacks", lambda: 0)()
    return frame is None and not handlers and not any(os.environ.get(name) for name in _PUT_IN)


def _leave(codes: list[int]) -> None:
    if not codes:  # `body` raised: the interpreter tells of it
        return
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except (OSError, ValueError):  # the interpreter has a message and an exit code of its own for that
        return
    os._exit(codes[0])
