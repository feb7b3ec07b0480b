"""Free file descriptors for a connection.

In a process of its own: servers and clients of other tests open and close descriptors in their threads.
"""

from __future__ import annotations

import errno
import subprocess
import sys

import pytest

from gpu_infer.triton.client.descriptors import NEEDED, no_descriptor

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


CONNECT = """
import os, resource, sys
from gpu_infer.errors import GpuInferError
from gpu_infer.triton.client.endpoints import Endpoints
from gpu_infer.triton.client.http_client import HttpClient
from gpu_infer.triton.client.server import Server

address = f"{sys.argv[1]}:9"
attempts = [
    lambda wait_s: Server.connect(Endpoints(http=address), "http", wait_s=wait_s),
    lambda wait_s: HttpClient(address).model_ready("m", ""),
]

def attempt_all(wait_s):
    for attempt in attempts:
        try:
            attempt(wait_s)
        except GpuInferError as error:
            print(type(error).__name__, error)

attempt_all(0)  # imports what it needs while files can be opened
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
try:
    while True:
        os.dup(0)
except OSError:
    pass
attempt_all(60)
"""


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_over_http_none_is_an_error_with_a_remedy_and_no_lost_connection(host: str) -> None:
    done = subprocess.run([sys.executable, "-c", CONNECT, host], capture_output=True, encoding="utf-8", check=True)
    refused, lines = done.stdout.splitlines()[:2], done.stdout.splitlines()[2:]
    assert [line.split()[0] for line in refused] == ["DeadlineError", "ConnectionLost"]
    assert len(lines) == 2
    for line in lines:
        assert line.startswith("ResourceError 0 more files may be opened (of 64), expected at least"), line
        assert "ulimit -n" in line


def test_a_system_that_opens_no_more_files_is_named() -> None:
    error = no_descriptor(OSError(errno.ENFILE, "Too many open files in system"))
    assert error is not None
    assert "fs.file-max" in str(error)
    assert no_descriptor(ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")) is None
