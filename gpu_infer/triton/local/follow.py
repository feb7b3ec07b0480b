"""Run a command, pass on its lines, and end it with all its processes if the caller is interrupted."""

from __future__ import annotations

import contextlib
import logging
import subprocess
import sys
from collections.abc import Callable, Sequence

from gpu_infer.triton.local import supervisor

log = logging.getLogger(__name__)

OnLine = Callable[[str], None]


def follow(command: Sequence[str], on_line: OnLine) -> tuple[int, list[str]]:
    """Run the command; return (exit code, lines of stdout and stderr).

    `on_line` gets each line as it comes. An exception that it or a signal handler raises is passed on after the command
    and every process that it started have ended. They also end with this process, whatever way it ends.
    """
    lines: list[str] = []
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", supervisor.__file__, "command", *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,  # Ctrl-C in the terminal reaches this process alone, which ends the command
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        for line in process.stdout:
            lines.append(line.rstrip())
            on_line(lines[-1])
            log.debug("%s", lines[-1])
    finally:
        # A byte works also if a forked child has the pipe open; a supervisor that has ended reads nothing.
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write("\n")
            process.stdin.close()
        process.stdout.close()
        process.wait()
    return process.returncode, lines
