"""Deadlines in seconds: no call waits longer, and very large numbers do not overflow to small ones."""

from __future__ import annotations

import socket
import time
from typing import Any

import numpy as np
import pytest
from canned_http import canned, response
from real_server import WINDOW, infer_all, opened, ring_on
from triton_fakes import FakeServer, model

from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.errors import DeadlineError
from gpu_infer.triton.client import server as module
from gpu_infer.triton.client.endpoints import Endpoints
from gpu_infer.triton.client.failures import deadline
from gpu_infer.triton.client.server import Server, wait_until_ready
from gpu_infer.triton.ring import SlotRing
from gpu_infer.triton.transport import Transport


class HangingClient:
    """Every call ends at its time limit, on a clock of the test's own."""

    url = "host:1"

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def _hang(self, timeout: float) -> bool:
        self._clock.now += timeout
        raise deadline("readiness", self.url, timeout)

    def server_live(self, timeout: float) -> bool:
        return self._hang(timeout)

    def close(self) -> None:
        pass


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(module, "make_client", lambda name, url, access: HangingClient(clock))
    return clock


@pytest.mark.parametrize("wait_s", [0.2, 3.0, 6.0, 23.0])
def test_the_wait_for_a_hanging_server(clock: Clock, wait_s: float) -> None:
    with pytest.raises(DeadlineError, match=f"no Triton server ready within {wait_s:g} s"):
        Server.connect(Endpoints(http="host:1", grpc="host:2"), wait_s=wait_s)
    assert wait_s <= clock.now - 100.0 <= wait_s + 2 * module.LEAST_TIMEOUT_S


@pytest.mark.parametrize("wait_s", [0.2, 3.0, 6.0, 23.0])
def test_the_wait_for_a_server_to_be_back(clock: Clock, wait_s: float) -> None:
    client: Any = HangingClient(clock)
    with pytest.raises(DeadlineError, match=f"not ready again within {wait_s:g} s"):
        wait_until_ready(client, "toy", "", wait_s)
    assert wait_s <= clock.now - 100.0 <= wait_s + module.LEAST_TIMEOUT_S


def never_loaded(connection: socket.socket, head: bytes) -> None:
    """The model is not ready; loading it never ends."""
    if b"/load" in head:
        time.sleep(60)
    connection.sendall(response(b"", status="400 Bad Request"))


def test_a_load_that_takes_longer_than_the_wait() -> None:
    with canned(never_loaded) as address:
        server = Server("http", address, "2.51.0")
        with pytest.raises(DeadlineError, match=rf"^loading model m at {address} did not end within 0\.3 s") as caught:
            server.model("m", wait_s=0.3, load=True)
    assert str(caught.value).endswith("(wait longer (--wait), or see in the server's log what keeps it)")


def test_calls_that_no_option_limits_name_none() -> None:
    assert "--" not in str(deadline("metadata of model m", "h:1", 10.0))


def test_a_request_names_the_deadline() -> None:
    server = FakeServer(script=[deadline("inference of model m", "h:1", 2.0)])
    transport = Transport(server, CpuBackend(), ("inline",))  # type: ignore[arg-type]
    transport.probe()
    with SlotRing(transport, model(), window=(4, 4, 4), channels_in=1, channels_out=2, batch=3) as ring:
        slot = ring.acquire()
        ring.submit(slot, 2)
        with pytest.raises(DeadlineError, match=r"\(raise the deadline \(--deadline\), or see in the server's log"):
            ring.wait(slot)
    assert server.requests[0].output_bytes == 2 * 2 * 4**3 * 4


@pytest.mark.slow
@pytest.mark.parametrize("control", ["grpc", "http"])
def test_a_deadline_in_the_far_future(triton_server: Any, control: str) -> None:
    windows = np.ones((2, 1, *WINDOW), np.float32)
    transport = opened(triton_server, control, wait_s=1e12)
    with ring_on(transport, deadline_s=1e12, reconnect_s=1e12) as ring:
        assert (infer_all(ring, windows, 1)[:, 1] == 1).all()
