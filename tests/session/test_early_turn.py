"""When a run takes its turn on the GPU before it reads its volume."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest

from gpu_infer.backends.base.upload import Upload
from gpu_infer.session.turns import begin_upload

PLAN: Any = SimpleNamespace(memory=SimpleNamespace(device_arena_bytes=30, device_peak=100))


class Backend:
    """Records what a run asks of its backend."""

    def __init__(self, has_device_memory: bool) -> None:
        self.has_device_memory = has_device_memory
        self.calls: list[Any] = []

    def start_run(self) -> None:
        self.calls.append("start_run")

    def reserve(self, nbytes: int, *, beside: int) -> None:
        self.calls.append((nbytes, beside))

    def open_upload(self) -> Any:
        calls = self.calls

        class Recorded(Upload):
            def close(self) -> None:
                calls.append("close")

        return Recorded(lambda host: host)


@pytest.fixture
def shared() -> Any:
    return SimpleNamespace(device=threading.Lock(), rings=SimpleNamespace(serves=lambda plan: False))


def test_a_free_gpu_is_taken_until_the_turn_ends(shared: Any) -> None:
    """Memory is reserved before the upload, and nothing is left when another run gets the GPU."""
    backend: Any = Backend(has_device_memory=True)
    with ExitStack() as turn:
        assert begin_upload(shared, PLAN, backend, turn) is not None
        assert shared.device.locked()
        assert backend.calls == ["start_run", (70, 30)]
        turn.callback(lambda: backend.calls.append("later"))
    assert backend.calls[2:] == ["later", "close"]
    assert not shared.device.locked()


def test_a_gpu_that_another_run_uses_is_not_waited_for(shared: Any) -> None:
    backend: Any = Backend(has_device_memory=True)
    with shared.device, ExitStack() as turn:
        assert begin_upload(shared, PLAN, backend, turn) is None
        turn.close()
        assert shared.device.locked()
    assert backend.calls == []


def test_the_cpu_is_taken_after_reading(shared: Any) -> None:
    backend: Any = Backend(has_device_memory=False)
    with ExitStack() as turn:
        assert begin_upload(shared, PLAN, backend, turn) is None
        assert not shared.device.locked()
    assert backend.calls == []
