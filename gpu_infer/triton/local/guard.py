"""Keeper of one tritonserver: whatever ends its owner, the server ends too and leaves no shared memory.

Run as a script with the standard library alone: `guard.py GRACE_S LOG tritonserver …`. Its standard input is a
pipe from the owner; the end of the pipe (the owner closed it, exited, crashed, was killed) ends the server
with SIGTERM and, after GRACE_S seconds, SIGKILL to the whole process group, which holds the Python backend's
stubs. Its standard output gets the server's pid on one line. A death signal alone would not do: it fires when
the starting *thread* ends, does not reach the stubs and leaves their shared-memory regions behind.
A server that is killed before it can end by itself leaves an empty /tmp/python_env_XXXXXX: the Python backend makes it
under that fixed name (no TMPDIR), tells nobody which is its own, and other servers have theirs beside it.
LOG is a temporary file to remove with an owner that is gone, "" for none; an owner that sends a byte sees to it itself.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

SHM_FOLDER = Path("/dev/shm")
SHM_PREFIX = "triton_gpu_infer_"
_POLL_S = 0.1
_PR_SET_PDEATHSIG = 1


def region_prefix(pid: int) -> str:
    """Name prefix of the Python backend's regions of the server that the guard with this pid keeps."""
    return f"{SHM_PREFIX}{pid}_"


def remove_regions(pid: int) -> None:
    for path in SHM_FOLDER.glob(region_prefix(pid) + "*"):
        path.unlink(missing_ok=True)


def main(arguments: list[str]) -> int:
    grace, log = float(arguments[0]), arguments[1]
    stopping = told = False

    def stop(_signum: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, stop)
    libc = ctypes.CDLL(None)

    def die_with_guard() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    prefix = f"--backend-config=python,shm-region-prefix-name={region_prefix(os.getpid())}"
    server = subprocess.Popen(
        [*arguments[2:], prefix],
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        start_new_session=True,
        preexec_fn=die_with_guard,  # one thread here, so code between fork and exec is safe
    )
    sys.stdout.write(f"{server.pid}\n")
    sys.stdout.flush()
    try:
        while server.poll() is None and not stopping:
            # Any byte and the end of the pipe mean the same to the server: stop.
            if select.select([0], [], [], _POLL_S)[0]:
                stopping, told = True, bool(os.read(0, 1))
        if server.poll() is None:
            server.terminate()
            deadline = time.monotonic() + grace
            while server.poll() is None and time.monotonic() < deadline:
                time.sleep(0.02)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        code = server.wait()
        remove_regions(os.getpid())
        if stopping and log and not told:
            Path(log).unlink(missing_ok=True)
    return 0 if stopping else (code if code > 0 else 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
