"""A backend made in a thread: its result, its failures, and when no thread is used."""

from __future__ import annotations

import importlib.machinery
import sys
import threading
from collections.abc import Iterator

import pytest

from gpu_infer.backends import pending
from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.backends.pending import PendingBackend, begin_backend
from gpu_infer.errors import ConfigError, DeadlineError
from gpu_infer.triton.client.endpoints import Endpoints
from gpu_infer.triton.client.server import Server


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def test_work_goes_on_until_the_result_is_wanted(gate: threading.Event) -> None:
    backend = CpuBackend()

    def make() -> CpuBackend:
        assert gate.wait(30)
        return backend

    with PendingBackend(make) as made:
        made.raise_failure()  # does not wait
        gate.set()
        assert made.result() is backend
        made.raise_failure()


def test_a_failure_is_raised_where_it_is_asked_for() -> None:
    def make() -> CpuBackend:
        raise ConfigError("no CUDA device was found")

    with PendingBackend(make) as made:
        with pytest.raises(ConfigError, match="no CUDA device"):
            made.result()
        with pytest.raises(ConfigError, match="no CUDA device"):
            made.raise_failure()


def test_leaving_waits_for_the_thread(gate: threading.Event) -> None:
    ended = []

    def make() -> CpuBackend:
        gate.wait(0.2)
        ended.append(True)
        return CpuBackend()

    with PendingBackend(make):
        pass
    assert ended


def test_a_failure_ends_the_wait_for_a_server() -> None:
    """Nobody answers at port 9, and the wait alone would take a minute and end as a DeadlineError."""

    def make() -> CpuBackend:
        raise ConfigError("no CUDA device was found")

    with PendingBackend(make) as made, pytest.raises(ConfigError, match="no CUDA device"):
        Server.connect(Endpoints(either="127.0.0.1:9"), wait_s=60.0, interval_s=0.1, check=made.raise_failure)
    with pytest.raises(DeadlineError):
        Server.connect(Endpoints(either="127.0.0.1:9"), wait_s=0.3, interval_s=0.1)


class Chosen:
    """`choose_backend`, with the threads in which it was called."""

    def __init__(self) -> None:
        self.threads: list[str] = []

    def __call__(self, device: str) -> CpuBackend:
        self.threads.append(threading.current_thread().name)
        return CpuBackend()


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> Chosen:
    double = Chosen()
    monkeypatch.setattr(pending, "choose_backend", double)
    for name in ("cupy", "torch"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(pending, "find_spec", lambda name: importlib.machinery.ModuleSpec(name, None))
    return double


@pytest.mark.parametrize("device", ["gpu", "auto"])
def test_a_gpu_is_opened_in_a_thread(chosen: Chosen, device: str) -> None:
    with begin_backend(device) as made:
        made.result()
    assert chosen.threads == ["backend"]


@pytest.mark.parametrize("imported", ["cupy", "torch"])
def test_the_device_of_a_program_that_uses_one_is_the_caller_s(
    chosen: Chosen, imported: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, imported, sys)
    with begin_backend("gpu"):
        assert chosen.threads == [threading.current_thread().name]


def test_without_cupy_or_on_the_cpu_there_is_nothing_to_wait_for(
    chosen: Chosen, monkeypatch: pytest.MonkeyPatch
) -> None:
    with begin_backend("cpu"):
        assert chosen.threads == [threading.current_thread().name]
    monkeypatch.setattr(pending, "find_spec", lambda name: None)
    with begin_backend("gpu"):
        assert chosen.threads[1:] == [threading.current_thread().name]
