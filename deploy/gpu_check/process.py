"""Runs a command in a new process group and ends the group with it, so that no process outlives its step."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

GRACE_S = 3.0
"""Between SIGTERM, on which the operator removes its shared memory, and SIGKILL."""
_POLL_S = 0.02


def run_group(
    command: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    out: IO[str],
    err: IO[str],
    timeout_s: float,
) -> int:
    """Exit status of the command; its whole group is ended after it, at the limit, and if this call is interrupted.

    Raises:
        subprocess.TimeoutExpired: the limit passed.
    """
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=err,
        start_new_session=True,
    )
    try:
        if not _ends(process.pid, timeout_s):
            raise subprocess.TimeoutExpired(command, timeout_s)
    except BaseException:
        _signal(process.pid, signal.SIGTERM)
        _ends(process.pid, GRACE_S)
        raise
    finally:
        # The leader is reaped after this, so that its number cannot belong to another group.
        _signal(process.pid, signal.SIGKILL)
        process.wait()
    return process.returncode


def _ends(pid: int, timeout_s: float) -> bool:
    """Wait for the process without reaping it; False at the limit."""
    deadline = time.monotonic() + timeout_s
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def _signal(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
