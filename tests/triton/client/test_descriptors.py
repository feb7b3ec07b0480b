"""Free file descriptors before a connection.

In a process of its own: servers and clients of other tests open and close descriptors in their threads.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from gpu_infer.triton.client.descriptors import NEEDED

SCRIPT = """
import os, resource, sys
from gpu_infer.errors import ResourceError
from gpu_infer.triton.client.descriptors import check_descriptors

check_descriptors()
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
in_use = len(os.listdir("/proc/self/fd")) - 1
resource.setrlimit(resource.RLIMIT_NOFILE, (in_use + int(sys.argv[1]), hard))
try:
    check_descriptors()
except ResourceError as error:
    print(error, error.remedy)
"""


@pytest.mark.parametrize("free", [0, NEEDED - 1])
def test_too_few_are_an_error_with_a_remedy(free: int) -> None:
    message = _check(free)
    assert message.startswith(f"{free} more files may be opened")
    assert f"expected at least {NEEDED} for a connection to Triton" in message
    assert "ulimit -n" in message


def test_enough_are_no_error() -> None:
    assert _check(NEEDED) == ""


def _check(free: int) -> str:
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(free)], capture_output=True, encoding="utf-8", check=True)
    return done.stdout
