"""Keeper of one command: when its owner stops or dies, the command and all its descendants end too.

Run as a script with the standard library alone: `keeper.py COMMAND …`. Its standard input is a pipe from the owner;
a byte, or the end of the pipe, kills the command's process group. It ends when every descendant has ended: what a
command's own children still write would otherwise land in a folder that the owner removes meanwhile.
Its exit code is the command's.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys

_POLL_S = 0.05
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def main(command: list[str]) -> int:
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)  # orphaned grandchildren become ours to wait for
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL),  # one thread here: safe
        )
    except OSError as error:
        sys.stdout.write(f"{command[0]}: {error.strerror}\n")
        return 127
    stopped = False
    while process.poll() is None and not stopped:
        stopped = bool(select.select([0], [], [], _POLL_S)[0])
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    code = process.wait()
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
