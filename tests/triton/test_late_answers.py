"""A request whose connection was lost still runs on the server: its late scores reach no other window.

Window 0 sleeps on the server when the proxy cuts its connection; sent again it is answered at once. Window 3 sleeps
longer, so that window 4, which has the slot of window 0, waits to be read when the late scores of window 0 arrive.
"""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from cudasim.simulated import open_segments_as_cuda, simulated_cupy
from cutting_proxy import CuttingProxy
from real_server import WINDOW, regions_left
from triton_fakes import HostBackend

from gpu_infer.errors import ServerError
from gpu_infer.triton.client.endpoints import Endpoints
from gpu_infer.triton.local.serve import LocalServer
from gpu_infer.triton.ring import SlotRing
from gpu_infer.triton.transport import DataName, Transport, open_transport

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_leftovers")]

MODELS = Path(__file__).parents[1] / "models"
UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 11\r\n\r\nno upstream"
BAD_GATEWAY = UNAVAILABLE.replace(b"503 Service Unavailable", b"502 Bad Gateway")


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    """A separate Triton, since the model writes into its folder."""
    folder = tmp_path_factory.mktemp("models")
    shutil.copytree(MODELS / "sleeps_once", folder / "sleeps_once", ignore=shutil.ignore_patterns("__pycache__"))
    with LocalServer(folder) as server:
        yield server


class Client:
    """A transport through a proxy, and how its backend fills and reads slots."""

    def __init__(self, transport: Transport, proxy: CuttingProxy, backend: Any) -> None:
        self.transport = transport
        self.proxy = proxy
        self._backend = backend

    def ring(self, **options: Any) -> SlotRing:
        facts: dict[str, Any] = {"window": WINDOW, "channels_in": 1, "channels_out": 2, "batch": 1, "slots": 2}
        model = self.transport.server.model("sleeps_once")
        return SlotRing(self.transport, model, **facts | {"deadline_s": 30.0, "reconnect_s": 20.0} | options)

    def fill(self, slot: Any, window: Any) -> None:
        if isinstance(slot.input, np.ndarray):
            slot.input[:1] = window
        else:
            self._backend.gather(self._backend.upload(window), [(0, 0, 0)], slot.input, 0.0)
            self._backend.fence()

    def read(self, scores: Any) -> Any:
        """Row 1 of the model's scores, which is its input."""
        return np.array(scores if isinstance(scores, np.ndarray) else self._backend.download(scores))[0, 1]


@contextlib.contextmanager
def connected(server: LocalServer, control: str, data: DataName, answer: bytes = b"") -> Iterator[Client]:
    with contextlib.ExitStack() as stack:
        backend: Any = HostBackend()
        if data == "cuda_shm":
            backend = stack.enter_context(simulated_cupy()).shared_backend()
            open_segments_as_cuda(stack.enter_context(pytest.MonkeyPatch.context()))
        proxy = stack.enter_context(CuttingProxy(server.grpc if control == "grpc" else server.http, answer))
        endpoints = Endpoints(**{control: proxy.address})
        transport = open_transport(endpoints, backend, control=control, require=data, wait_s=30.0)
        yield Client(transport, proxy, backend)


def windows_of(first_s: float, third_s: float) -> Any:
    """Nine windows of 1/16, 2/16, …; windows 0 and 3 begin with the seconds for which the model sleeps."""
    windows = np.zeros((9, 1, *WINDOW), np.float32) + np.arange(1, 10).reshape(-1, 1, 1, 1, 1) / 16
    windows[0, 0, 0, 0, 0], windows[3, 0, 0, 0, 0] = first_s, third_s
    return cast(Any, windows.astype(np.float32))


def run_and_cut(client: Client, ring: SlotRing, windows: Any, *, cuts: int = 1, refill: bool = True) -> Any:
    """The model's answer to each window, with `cuts` cut connections during the first request."""
    results: list[Any] = []
    waiting: list[Any] = []

    def take() -> None:
        slot = waiting.pop(0)
        results.append(client.read(ring.wait(slot)))
        ring.release(slot)

    timer = threading.Timer(0.7, client.proxy.cut)
    for window in windows:
        if len(waiting) == ring.slots:
            take()
        slot = ring.acquire()
        client.fill(slot, window)
        slot.refill = partial(client.fill, window=window) if refill else None
        ring.submit(slot, 1)
        waiting.append(slot)
        if timer.ident is None:
            timer.start()
    while waiting:
        take()
    timer.join()
    return np.stack(results)


TRANSPORTS: list[Any] = [
    pytest.param(control, data, answer, id=f"{control}-{data}{name}")
    for control, data, answer, name in [
        ("grpc", "system_shm", b"", ""),
        ("http", "system_shm", b"", ""),
        ("grpc", "cuda_shm", b"", ""),
        ("http", "cuda_shm", b"", ""),
        ("grpc", "inline", b"", ""),
        ("http", "inline", b"", ""),
        ("http", "system_shm", UNAVAILABLE, "-503"),
        ("http", "cuda_shm", BAD_GATEWAY, "-502"),
    ]
]


@pytest.mark.parametrize("refill", [True, False], ids=["refilled", "copied"])
@pytest.mark.parametrize(("control", "data", "answer"), TRANSPORTS)
def test_a_late_answer_reaches_no_other_window(
    triton: LocalServer, control: str, data: DataName, answer: bytes, refill: bool
) -> None:
    # numbers that no other case has, since the model sleeps once for each
    number = [param.values for param in TRANSPORTS].index((control, data, answer)) + len(TRANSPORTS) * refill
    windows = windows_of(2.0 + number / 128, 3.5 + number / 128)
    with connected(triton, control, data, answer) as client:
        with client.ring() as ring:
            answers = run_and_cut(client, ring, windows, refill=refill)
            counters = ring.counters()
        wrong = [k for k in range(9) if not np.array_equal(answers[k], windows[k, 0])]
        assert wrong == []
        assert counters["retries"] >= 1
        assert counters["reregistrations"] == (0 if data == "inline" else 1)
    assert regions_left(triton) == []


@pytest.mark.parametrize("control", ["grpc", "http"])
def test_without_spare_slots_a_lost_connection_ends_the_run(triton: LocalServer, control: str) -> None:
    windows = windows_of(1.5 + (control == "http") / 64, 0.0)
    with (
        connected(triton, control, "system_shm") as client,
        client.ring(spare=False) as ring,
        pytest.raises(ServerError, match="memory was too short to plan spare slots"),
    ):
        run_and_cut(client, ring, windows)
    assert regions_left(triton) == []


def test_an_arena_that_the_server_let_go_of_makes_place_for_another(triton: LocalServer) -> None:
    """Connections lost twice: the second time the requests that were lost first have ended, or are waited for."""
    with connected(triton, "grpc", "system_shm") as client, client.ring() as ring:
        for round_ in range(3):
            seconds = 1.25 + round_ / 64
            answers = run_and_cut(client, ring, windows_of(seconds, 0.0))
            np.testing.assert_array_equal(answers, windows_of(seconds, 0.0)[:, 0])
        assert ring.counters()["reregistrations"] == 3
    assert regions_left(triton) == []


def test_the_server_does_not_let_go_of_a_region_that_a_lost_request_names(triton: LocalServer) -> None:
    """On this the reuse of arenas rests."""
    with connected(triton, "grpc", "system_shm") as client, client.ring(slots=1) as ring:
        slot = ring.acquire()
        client.fill(slot, windows_of(2.5, 0.0)[0])
        ring.submit(slot, 1)
        time.sleep(0.7)
        client.proxy.cut()
        ring.wait(slot)
        (older,) = ring._arenas._older
        assert older.registration is not None
        assert not older.registration.try_close()
        time.sleep(2.5)
        assert older.registration.try_close()
