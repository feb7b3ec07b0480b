"""Whether a process is a local server that ends: its owner was killed, and its supervisor stops it."""

from __future__ import annotations

import os
import select
from pathlib import Path

from gpu_infer.triton.local import supervisor

_SUPERVISOR = Path(supervisor.__file__).name

ENDS_WITHIN_S = 15.0
"""Seconds that a server without an owner may take: the supervisor's grace before SIGKILL, and some more."""


def is_ending(pid: int, proc: Path = Path("/proc")) -> bool:
    """Whether the process has a supervisor of this program whose owner is gone; False for processes of other users."""
    try:
        parent = (proc / str(pid) / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[1]
        command = (proc / parent / "cmdline").read_bytes().split(b"\0")
        if not any(Path(os.fsdecode(word)).name == _SUPERVISOR for word in command):
            return False
        # The supervisor's standard input is a pipe from the owner: without one, nobody can write to it any more.
        pipe = os.open(proc / parent / "fd/0", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, IndexError):  # one of them has ended, or belongs to another user
        return False
    try:
        poll = select.poll()
        poll.register(pipe, select.POLLIN)
        return any(events & select.POLLHUP for _, events in poll.poll(0))
    finally:
        os.close(pipe)
