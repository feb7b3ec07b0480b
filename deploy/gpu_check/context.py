"""An idle process with a CUDA context, so that the driver stays initialised between the processes of the check.

Without a persistence daemon, the driver shuts the card down after its last process and starts it for the next one.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

# Ends with the check, however that ends, because the pipe is then closed.
_PROGRAM = """
import sys
import cupy
cupy.cuda.Device(0).use()
cupy.cuda.runtime.free(0)
print("ready", flush=True)
sys.stdin.read()
"""


class IdleContext:
    """The idle process, at most one; `close` ends it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def start(self, environment: Mapping[str, str], *, timeout_s: float) -> dict[str, Any]:
        """Start the process and wait for its context: seconds, or the reason for none."""
        started = time.monotonic()
        self.close()
        self._process = process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM],
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        assert process.stdout is not None
        lines: list[str] = []
        while time.monotonic() < started + timeout_s:
            if not select.select([process.stdout], [], [], 0.1)[0]:
                continue
            line = process.stdout.readline()
            if line.strip() == "ready":
                return {"context_s": round(time.monotonic() - started, 2)}
            if not line:
                break
            lines.append(line.strip())
        self.close()
        reason = next((line for line in reversed(lines) if line), f"no context within {timeout_s:.0f} s")
        return {"context_s": None, "context_missing": reason}

    @property
    def pid(self) -> int | None:
        """The process's number while it runs."""
        return None if self._process is None or self._process.poll() is not None else self._process.pid

    def close(self) -> None:
        """End the process, if there is one."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        process.wait()
