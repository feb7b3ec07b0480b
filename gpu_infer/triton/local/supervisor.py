"""Supervisor of one command: if its owner stops or dies, the command and every process that it started end too.

A script that uses the standard library alone (`python -I -S supervisor.py …`). Its standard input is a pipe from the
owner. A byte, or the end of the pipe (the owner closed it, exited, crashed or was killed), ends the command. A death
signal alone does not suffice: it fires if the *thread* that started the command ends, and does not reach the command's
children.

`supervisor.py command COMMAND …` kills the command's process group at once. It ends after every descendant: files that
a command's children still write could otherwise land in a folder that the owner removes meanwhile. Its exit code is the
command's, 128 + N for signal N, and 127 if the command cannot be started.

`supervisor.py server FOLDER GRACE_S LOG tritonserver …` writes the server's pid to its standard output, on one line.
The server ends by SIGTERM and, after GRACE_S seconds, by SIGKILL to its process group, which the Python backend's stubs
belong to. LOG is a temporary file to remove with an owner that is gone, "" for none; an owner that sends a byte removes
the file itself. The exit code is 0 if the owner or a signal ended the server.

FOLDER is /dev/shm. The server's regions there hold voxels, which only its user may read. The Python backend gives them
mode 0644 whatever the umask is (Boost calls fchmod), so the supervisor takes the rights away from others as soon as it
sees a region. Their names begin with a prefix that no other supervisor has: containers may share /dev/shm and have the
same pids, so the lock of a file that the supervisor holds, not its pid, shows that it lives. `segments` removes the
regions of a killed supervisor.

A server that is killed before it can end leaves an empty /tmp/python_env_XXXXXX. The Python backend makes it under that
fixed name (no TMPDIR) and reports it nowhere, and folders of other servers have the same names.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import IO

SHM_PREFIX = "triton_gpu_infer_"
OWNER = "owner"
_COMMAND_POLL_S = 0.05
_SERVER_POLL_S = 0.02  # also the time that others may read a new region for
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def region_prefix(pid: int) -> str:
    """Start of the names of the Python backend's regions, of servers whose supervisor has this pid in its container."""
    return f"{SHM_PREFIX}{pid}_"


def take_prefix(folder: Path) -> tuple[str, int]:
    """(prefix, descriptor): a new prefix of this process, and its file `prefix` + OWNER, locked by this process."""
    while True:
        prefix = f"{region_prefix(os.getpid())}{os.urandom(8).hex()}_"
        path = folder / (prefix + OWNER)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with contextlib.suppress(BlockingIOError, FileNotFoundError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.stat().st_ino == os.fstat(fd).st_ino:
                return prefix, fd
        os.close(fd)  # a cleaner removes the file between creation and lock: take another name


def protect_regions(prefix: str, folder: Path) -> None:
    """Allow only their user to read the regions whose names begin with `prefix`."""
    for path in folder.glob(prefix + "*"):
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mode & 0o077:
                path.chmod(0o600)


def remove_regions(prefix: str, folder: Path) -> None:
    """Remove all regions of one supervisor, and last the file that allows others to remove them."""
    for path in sorted(folder.glob(prefix + "*"), key=lambda path: path.name.endswith(OWNER)):
        path.unlink(missing_ok=True)


def run_command(command: list[str]) -> int:
    """Run the command until it ends or the owner stops; return its exit code after its last descendant has ended."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)  # orphaned grandchildren become children of this process
    try:
        process = _start(command)
    except OSError as error:
        sys.stdout.write(f"{command[0]}: {error.strerror}\n")
        return 127
    while process.poll() is None and not _owner_stops(_COMMAND_POLL_S):
        pass
    code = _kill_group(process)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)
    return code if code >= 0 else 128 - code


def run_server(folder: Path, grace_s: float, log: str, command: list[str]) -> int:
    """Run tritonserver until it ends, the owner stops or a signal comes; return 0 unless it ends by itself."""
    stopping = owner_lives = False

    def stop(_signum: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, stop)
    os.umask(0o077)
    prefix, _ = take_prefix(folder)
    process = _start([*command, f"--backend-config=python,shm-region-prefix-name={prefix}"], sys.stderr)
    sys.stdout.write(f"{process.pid}\n")
    sys.stdout.flush()
    try:
        while process.poll() is None and not stopping:
            protect_regions(prefix, folder)
            if _owner_stops(_SERVER_POLL_S):
                stopping, owner_lives = True, bool(os.read(0, 1))
        if process.poll() is None:
            process.terminate()
            deadline = time.monotonic() + grace_s
            while process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.02)
    finally:
        code = _kill_group(process)
        remove_regions(prefix, folder)
        if stopping and log and not owner_lives:
            Path(log).unlink(missing_ok=True)
    return 0 if stopping else (code if code > 0 else 1)


def _start(command: list[str], stdout: IO[str] | None = None) -> subprocess.Popen[bytes]:
    """Start the command in its own session; the kernel kills it if this process dies."""
    libc = ctypes.CDLL(None)

    def die_with_supervisor() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        start_new_session=True,
        preexec_fn=die_with_supervisor,  # this process has one thread, so code between fork and exec is safe
    )


def _owner_stops(timeout_s: float) -> bool:
    """Whether a byte, or the end of the pipe, comes within `timeout_s` seconds."""
    return bool(select.select([0], [], [], timeout_s)[0])


def _kill_group(process: subprocess.Popen[bytes]) -> int:
    """Kill what is left of the command's process group; return the command's exit code."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


def main(arguments: list[str]) -> int:
    mode, *rest = arguments
    if mode == "command":
        return run_command(rest)
    folder, grace_s, log, *command = rest
    return run_server(Path(folder), float(grace_s), log, command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
