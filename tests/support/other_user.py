"""What a function returns to a user other than root, who runs these tests."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

UID = 12345

needs_two_users = pytest.mark.skipif(os.geteuid() != 0, reason="needs two users")


def open_parents(folder: Path) -> None:
    """Let other users enter `folder` and the folders above it, up to the one for temporary files."""
    for each in (folder, *folder.parents):
        if each == Path(tempfile.gettempdir()):
            return
        each.chmod(0o755)


def holds_for_another_user(condition: Callable[[], bool]) -> bool:
    """Call `condition` in a child process of another user; False if it raises, too."""
    pid = os.fork()
    if pid == 0:  # a copy of the test's process, which must not go on
        code = 1
        with contextlib.suppress(BaseException):
            os.setuid(UID)
            code = 0 if condition() else 2
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
