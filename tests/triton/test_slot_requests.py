"""The requests of one slot: what is sent after the end was asked for, and what counts as in flight."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from gpu_infer.errors import ServerError
from gpu_infer.triton import slot_requests as module
from gpu_infer.triton.client.failures import QueueFull, RegionUnknown
from gpu_infer.triton.client.protocol import InferReply
from gpu_infer.triton.slot_requests import RequestCounters, SlotRequests

REQUEST: Any = "request"


class Refusing:
    """A server and its client: every request is refused with `error`."""

    def __init__(self, error: ServerError) -> None:
        self.error = error
        self.begun = 0
        self.refused = threading.Event()

    def client(self) -> Refusing:
        return self

    def begin_infer(self, request: Any, timeout: float) -> Callable[[], InferReply]:
        self.begun += 1

        def read() -> InferReply:
            self.refused.set()
            raise self.error

        return read

    def close(self) -> None:
        """Nothing to close."""


def requests_to(server: Any, counters: RequestCounters, deadline_s: float) -> SlotRequests:
    return SlotRequests(server, counters, deadline_s)


def test_no_request_is_sent_after_the_end_was_asked_for() -> None:
    """Not even after the pause in which it was asked for, which ends at once."""
    server, counters = Refusing(QueueFull("full")), RequestCounters()
    requests = requests_to(server, counters, 600.0)
    begun = requests.begin(REQUEST, None)
    with ThreadPoolExecutor() as threads:
        reply = threads.submit(requests.end, begun, REQUEST, None)
        assert server.refused.wait(30)
        while server.begun < 5:  # pauses of 0.3 s and more follow
            time.sleep(0.001)
        time.sleep(0.05)
        requests.stop()
        sent = server.begun
        with pytest.raises(ServerError, match="full"):
            reply.result(30)
    assert server.begun == sent == counters.requests
    assert counters.retries == sent - 1


def test_no_request_is_sent_if_the_end_is_asked_for_while_the_region_is_registered() -> None:
    server, counters = Refusing(RegionUnknown("unknown")), RequestCounters()
    requests = requests_to(server, counters, 600.0)

    class Registration:
        renewals = 0

        def renew(self, client: Any, seen: int) -> None:
            requests.stop()

    registration: Any = Registration()
    begun = requests.begin(REQUEST, registration)
    with pytest.raises(ServerError, match="unknown"):
        requests.end(begun, REQUEST, registration)
    assert server.begun == 1


def test_pauses_are_not_in_flight(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]

    class Stops(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            now[0] += timeout or 0.0
            return False

    def refuse_after_1_s() -> InferReply:
        now[0] += 1.0
        raise QueueFull("full")

    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    server, counters = Refusing(QueueFull("full")), RequestCounters()
    monkeypatch.setattr(server, "begin_infer", lambda request, timeout: refuse_after_1_s)
    requests = requests_to(server, counters, 10.0)
    requests._stops = Stops()
    with pytest.raises(ServerError, match="full"):
        requests.end(requests.begin(REQUEST, None), REQUEST, None)
    assert counters.requests > 3
    assert counters.in_flight_s == pytest.approx(counters.requests)
    assert not requests.in_flight
