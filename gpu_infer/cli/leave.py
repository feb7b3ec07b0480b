"""The end of a process without the interpreter taking itself apart.

Once Numba was loaded, freeing modules and objects one by one takes 0.3 s, as long as reading a CT; the operating
system frees a process at once. Threads are still waited for and exit handlers still run, this one last.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable


def leaving(body: Callable[[], int]) -> int:
    """The exit code of `body`; the process, which must end with it next, ends without freeing every object.

    Call it before anything else registers exit handlers: they run in reverse order.
    """
    codes: list[int] = []
    atexit.register(_leave, codes)
    code = body()
    codes.append(code)
    return code


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
