"""Handling of stdin, stdout and stderr that are closed, full, broken pipes, or of an encoding that lacks characters.

The files of a run do not depend on them. Text that cannot be written is dropped; the exit code shows how the run ended.
"""

from __future__ import annotations

import contextlib
import os
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO


def prepare() -> None:
    """Open closed standard descriptors on the null device, and write characters that an encoding lacks as escapes.

    Otherwise the next open file, perhaps a label map, gets a closed descriptor, and a library's message on stdout is
    written into it.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, this one
            os.set_inheritable(number, True)
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            with contextlib.suppress(OSError, ValueError):
                stream.reconfigure(errors="backslashreplace")


def write(stream: TextIO, text: str) -> OSError | None:
    """Write and flush; returns the error, after which the stream writes to the null device."""
    try:
        stream.write(text)
        stream.flush()
    except OSError as error:
        discard(stream)
        return error
    except ValueError:  # closed by the program itself
        return None
    return None


def discard(stream: TextIO) -> None:
    """Send the stream's buffer and later text to the null device, because Python flushes again at exit."""
    with contextlib.suppress(OSError, ValueError):
        descriptor = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(descriptor, stream.fileno())
        finally:
            os.close(descriptor)
