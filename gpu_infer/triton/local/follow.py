"""Run a command, hand on its lines, and end all of it where the caller is interrupted."""

from __future__ import annotations

import contextlib
import logging
import subprocess
import sys
from collections.abc import Callable, Sequence

from gpu_infer.triton.local import keeper

log = logging.getLogger(__name__)

OnLine = Callable[[str], None]


def follow(command: Sequence[str], on_line: OnLine) -> tuple[int, list[str]]:
    """(exit code, lines of stdout and stderr); `on_line` gets each line as it comes.

    An exception, from `on_line` or a signal handler, goes through only after the command and every process that it
    started have ended. They also end with this process, however that ends.
    """
    lines: list[str] = []
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", keeper.__file__, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # Ctrl-C in the terminal is for us to answer
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        for line in process.stdout:
            lines.append(line.rstrip())
            on_line(lines[-1])
            log.debug("%s", lines[-1])
    finally:
        # The byte tells it even where a forked child holds the pipe open; one that has ended reads nothing.
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write("\n")
            process.stdin.close()
        process.stdout.close()
        process.wait()
    return process.returncode, lines
