"""Keeper of one tritonserver: whatever ends its owner, the server ends too and leaves no shared memory.

Run as a script with the standard library alone: `guard.py GRACE_S LOG tritonserver …`. Its standard input is a
pipe from the owner; the end of the pipe (the owner closed it, exited, crashed, was killed) ends the server
with SIGTERM and, after GRACE_S seconds, SIGKILL to the whole process group, which holds the Python backend's
stubs. Its standard output gets the server's pid on one line. A death signal alone would not do: it fires when
the starting *thread* ends, does not reach the stubs and leaves their shared-memory regions behind.
A server that is killed before it can end by itself leaves an empty /tmp/python_env_XXXXXX: the Python backend makes it
under that fixed name (no TMPDIR), tells nobody which is its own, and other servers have theirs beside it.
The server's regions hold voxels and are for its user alone. The Python backend gives them mode 0644 whatever the umask
says (Boost calls fchmod), so the guard takes the rights away from others as soon as it sees a region. Their names begin
with a word that is this guard's own: other containers may share /dev/shm and have the same pids, so that a file whose
lock this guard holds, not its pid, says that it lives (`segments` removes what a killed guard leaves).
LOG is a temporary file to remove with an owner that is gone, "" for none; an owner that sends a byte sees to it itself.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import secrets
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

SHM_FOLDER = Path("/dev/shm")
SHM_PREFIX = "triton_gpu_infer_"
OWNER = "owner"
_POLL_S = 0.02
_PR_SET_PDEATHSIG = 1


def region_prefix(pid: int) -> str:
    """What the names of the Python backend's regions begin with, of servers whose guard has this pid somewhere."""
    return f"{SHM_PREFIX}{pid}_"


def take_prefix() -> tuple[str, int]:
    """(prefix, descriptor) of a name of this guard's own and the file `prefix` + OWNER, which it holds locked."""
    while True:
        prefix = f"{region_prefix(os.getpid())}{secrets.token_hex(8)}_"
        path = SHM_FOLDER / (prefix + OWNER)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with contextlib.suppress(BlockingIOError, FileNotFoundError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.stat().st_ino == os.fstat(fd).st_ino:
                return prefix, fd
        os.close(fd)  # a cleaner came between creation and lock: take another name


def protect_regions(prefix: str, folder: Path = SHM_FOLDER) -> None:
    """Let nobody but their user read the regions whose names begin with `prefix`."""
    for path in folder.glob(prefix + "*"):
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mode & 0o077:
                path.chmod(0o600)


def remove_regions(prefix: str, folder: Path = SHM_FOLDER) -> None:
    """Remove all regions of one guard; its own file last, which says that they may be removed."""
    for path in sorted(folder.glob(prefix + "*"), key=lambda path: path.name.endswith(OWNER)):
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

    os.umask(0o077)
    prefix, _ = take_prefix()
    server = subprocess.Popen(
        [*arguments[2:], f"--backend-config=python,shm-region-prefix-name={prefix}"],
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        start_new_session=True,
        preexec_fn=die_with_guard,  # one thread here, so code between fork and exec is safe
    )
    sys.stdout.write(f"{server.pid}\n")
    sys.stdout.flush()
    try:
        while server.poll() is None and not stopping:
            protect_regions(prefix)
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
        remove_regions(prefix)
        if stopping and log and not told:
            Path(log).unlink(missing_ok=True)
    return 0 if stopping else (code if code > 0 else 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
