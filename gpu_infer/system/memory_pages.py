"""Asks for the pages of an array ahead of the thread that fills it.

A page of fresh memory is cleared when a program first writes to it, in the thread that writes: a tenth of the time in
which a .nii.gz is inflated, a quarter of that of a raw file.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from numpy.typing import NDArray

_POPULATE_WRITE = 23  # MADV_POPULATE_WRITE of Linux 5.14
_PIECE = 1 << 23  # bytes at once
_LEAST = 1 << 24  # bytes of an array for which a thread is started


@contextmanager
def pages_ahead(array: NDArray[Any]) -> Iterator[None]:
    """While the caller fills `array`, contiguous and fresh, from its start, a thread asks for its pages.

    No thread is started for less than 16 MiB, and on a single processor. If the kernel is older, or allows no further
    thread, nothing changes.
    """
    if array.nbytes < _LEAST or len(os.sched_getaffinity(0)) < 2:
        yield
        return
    stop = threading.Event()
    thread = threading.Thread(target=take_pages, args=(array, stop.is_set), name="pages")
    try:
        thread.start()
    except RuntimeError:  # the process has as many threads as it may have
        yield
        return
    try:
        yield
    finally:
        stop.set()
        thread.join()


def take_pages(array: NDArray[Any], is_stopped: Callable[[], bool]) -> bool:
    """Ask for all pages of an array; its values stay. Returns whether the system gave them."""
    madvise = ctypes.CDLL(None, use_errno=True).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    first, page = array.ctypes.data, mmap.PAGESIZE
    begin, end = -(-first // page) * page, (first + array.nbytes) // page * page
    for at in range(begin, end, _PIECE):
        if is_stopped() or madvise(at, min(_PIECE, end - at), _POPULATE_WRITE) != 0:
            return False
    return True
