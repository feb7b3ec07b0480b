"""Helpers of the tests with a real Triton."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
from triton_fakes import HostBackend

from gpu_infer.triton.client.endpoints import Endpoints
from gpu_infer.triton.client.protocol import InferReply, InferRequest
from gpu_infer.triton.local.serve import LocalServer
from gpu_infer.triton.ring import SlotRing
from gpu_infer.triton.transport import Transport, open_transport

TRANSPORTS = [(control, data) for control in ("grpc", "http") for data in ("system_shm", "inline")]
WINDOW = (9, 8, 7)


def endpoints_of(server: Any) -> Endpoints:
    return Endpoints(http=server.http, grpc=server.grpc)


def opened(server: Any, control: str = "auto", data: str = "auto", **options: Any) -> Transport:
    return open_transport(
        endpoints_of(server), cast(Any, HostBackend()), control=control, data=data, **{"wait_s": 30.0} | options
    )


def kill(server: LocalServer) -> None:
    """End the server with SIGKILL, as a crash would; `restart` starts it again. Does nothing if it does not run."""
    if server.running:
        assert server.pid is not None
        os.killpg(server.pid, signal.SIGKILL)
        server.stop()


def restart(server: LocalServer) -> None:
    """Stop the server if it runs, then start it on the same ports."""
    server.stop()
    server.start()


def ring_on(transport: Transport, name: str = "threshold_half", **options: Any) -> SlotRing:
    facts: dict[str, Any] = {"window": WINDOW, "channels_in": 1, "channels_out": 2, "batch": 1, "deadline_s": 30.0}
    return SlotRing(transport, transport.server.model(name), **facts | options)


def infer_all(ring: SlotRing, windows: Any, batch: int) -> Any:
    """Outputs of windows [N, C, …] in order, with as many requests in flight as the ring has slots."""
    waiting: list[Any] = []
    results = []

    def take() -> None:
        slot = waiting.pop(0)
        results.append(ring.wait(slot).copy())
        ring.release(slot)

    for first in range(0, len(windows), batch):
        if len(waiting) == ring.slots:
            take()
        group = windows[first : first + batch]
        slot = ring.acquire()
        slot.input[: len(group)] = group
        ring.submit(slot, len(group))
        waiting.append(slot)
    while waiting:
        take()
    return np.concatenate(results)


@contextmanager
def in_flight(transport: Transport, request: InferRequest) -> Iterator[list[InferReply]]:
    """A request that another thread sends and the server works on; after the block, the list has its reply."""
    replies: list[InferReply] = []

    def send() -> None:
        client = transport.client()
        replies.append(client.infer(request, 10))
        client.close()

    thread = threading.Thread(target=send)
    thread.start()
    time.sleep(0.2)
    try:
        yield replies
    finally:
        thread.join()


def regions_left(server: Any) -> list[str]:
    """Names of this program's regions that the server still knows."""
    transport = opened(server, data="inline")
    client = transport.client()
    try:
        return [name for name in client.registered_regions() if name.startswith("gpu_infer-")]
    finally:
        client.close()
