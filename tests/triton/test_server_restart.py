"""A Triton that dies, comes back or stays away, and clients that are killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from real_server import TRANSPORTS, WINDOW, infer_all, kill, opened, regions_left, restart, ring_on

from gpu_infer.errors import DeadlineError, ServerError
from gpu_infer.triton.shm.leftovers import clean, find_leftovers

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_leftovers")]


def test_a_restart_in_mid_run_is_survived(fresh_triton: Any) -> None:
    for control, data in TRANSPORTS:
        windows = np.random.default_rng(4).normal(0.5, 1, (8, 1, *WINDOW)).astype(np.float32)
        transport = opened(fresh_triton, control, data)
        with ring_on(transport, "slow", slots=2, reconnect_s=60.0) as ring:
            killer = threading.Timer(0.8, lambda: (kill(fresh_triton), restart(fresh_triton)))
            killer.start()
            out = infer_all(ring, windows, 1)
            killer.join()
            counters = ring.counters()
        np.testing.assert_array_equal(out[:, 1], windows[:, 0])
        assert counters["retries"] >= 1
        assert counters["reregistrations"] == (1 if data == "system_shm" else 0)
        assert regions_left(fresh_triton) == []


def test_a_restart_between_requests_is_survived(fresh_triton: Any) -> None:
    transport = opened(fresh_triton, data="system_shm")
    with ring_on(transport, slots=2) as ring:
        windows = np.ones((2, 1, *WINDOW), np.float32)
        infer_all(ring, windows, 1)
        restart(fresh_triton)
        assert (infer_all(ring, windows, 1)[:, 1] == 1).all()
        assert ring.counters()["reregistrations"] == 1
    assert regions_left(fresh_triton) == []


@pytest.mark.parametrize(("control", "data"), [("grpc", "system_shm"), ("http", "inline")])
def test_a_server_killed_for_good(fresh_triton: Any, control: str, data: str) -> None:
    transport = opened(fresh_triton, control, data)
    with ring_on(transport, "slow", slots=2, reconnect_s=1.5) as ring:
        slots = [ring.acquire(), ring.acquire()]
        for slot in slots:
            ring.submit(slot, 1)
        time.sleep(0.2)
        kill(fresh_triton)
        for slot in slots:
            with pytest.raises(ServerError, match=r"which was not ready again within 1\.5 s") as caught:
                ring.wait(slot)
            assert isinstance(caught.value, DeadlineError)
            assert "\n" not in str(caught.value)


CLIENT = """
import sys
sys.path.insert(0, {folder!r})
from types import SimpleNamespace
from real_server import opened, ring_on
transport = opened(SimpleNamespace(http={http!r}, grpc={grpc!r}), {control!r}, "system_shm")
ring = ring_on(transport, "slow", slots=2)
ring.submit(ring.acquire(), 1)
print("ready", flush=True)
{then}
"""


def _client(server: Any, control: str, then: str) -> subprocess.Popen[str]:
    code = CLIENT.format(
        folder=str(Path(__file__).parents[1] / "support"),
        http=server.http,
        grpc=server.grpc,
        control=control,
        then=then,
    )
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("control", ["grpc", "http"])
def test_a_killed_client_is_cleaned_up_after(triton_server: Any, control: str) -> None:
    before = {item.name for item in find_leftovers()}
    with _client(triton_server, control, "sys.stdin.read()") as process:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    transport = opened(triton_server, data="inline")
    client = transport.client()
    leftovers = [item for item in find_leftovers(client) if item.name not in before]
    assert [item.region is not None for item in leftovers] == [True]
    assert leftovers[0].pid == process.pid
    clean(leftovers, client)  # waits while the server works on the killed client's request
    client.close()
    assert regions_left(triton_server) == []


@pytest.mark.parametrize("control", ["grpc", "http"])
@pytest.mark.parametrize(
    ("then", "code"),
    [("", 0), ("sys.exit(3)", 3), ("raise KeyboardInterrupt", -signal.SIGINT), ("1 / 0", 1)],
    ids=["end", "exit", "interrupt", "error"],
)
def test_every_other_end_of_a_client_leaves_nothing(triton_server: Any, control: str, then: str, code: int) -> None:
    """Neither ring nor transport was closed, and a request is in flight."""
    with _client(triton_server, control, then) as process:
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == code, stderr
    assert regions_left(triton_server) == []
