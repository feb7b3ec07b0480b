"""What surrounds a timed kernel: copies ahead that leave the cache clean, and work that raises the card's clocks."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from cudasim.simulated import simulated_cupy

from bench.sides import kernel_clock
from bench.sides.kernel_clock import Clock
from deploy.gpu_check.card_state import CardState

LEAD, SWEEP = 1 << 12, 1 << 8


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """A clock on a simulated device; `queued` receives (destination, bytes) of each copy and the event records."""
    queued: list[Any] = []
    with simulated_cupy() as gpu:
        cuda: Any = sys.modules["cupy"].cuda
        monkeypatch.setattr(cuda, "get_elapsed_time", lambda begin, end: 2.0, raising=False)
        monkeypatch.setattr(cuda.runtime, "memcpyDeviceToDevice", 3, raising=False)
        monkeypatch.setattr(
            cuda.runtime, "memcpyAsync", lambda to, source, nbytes, kind, stream: queued.append((to, nbytes))
        )
        backend = gpu.GpuBackend()
        clock = Clock(backend, LEAD, SWEEP)
        yield SimpleNamespace(clock=clock, queued=queued, backend=backend)


def test_copies_ahead_end_with_small_ones_to_one_place(card: SimpleNamespace) -> None:
    """The dirty part of the cache at the kernel's start is as large as the last destination, whatever was read."""
    assert card.clock.seconds(lambda: card.queued.append("work")) == 2e-3
    *copies, work = card.queued
    assert work == "work"
    large, small = copies[:2], copies[2:]
    assert [nbytes for _, nbytes in large] == [LEAD, LEAD]
    assert {nbytes for _, nbytes in small} == {SWEEP}
    assert len({to for to, _ in small}) == 1
    assert sum(nbytes for _, nbytes in small) == LEAD
    assert small[0][0] not in {to for to, _ in large}


def test_the_real_sizes_read_more_than_a_cache_and_leave_little(card: SimpleNamespace) -> None:
    assert kernel_clock.LEAD_BYTES // kernel_clock.SWEEP_BYTES == 64
    assert kernel_clock.SWEEP_BYTES == 4 << 20


def test_launches_timed_together_have_a_large_copy_each(card: SimpleNamespace) -> None:
    card.clock.together(lambda: None, 5)
    assert [nbytes for _, nbytes in card.queued].count(LEAD) == 1 + 5


def test_an_idle_card_works_before_it_is_timed(card: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(kernel_clock.time, "monotonic", lambda: now[0])
    calls: list[float] = []

    def work() -> None:
        calls.append(now[0])
        now[0] += 0.01

    assert card.clock.ramp(work, 1.5) == len(calls)
    assert calls[-1] - calls[0] >= 1.4
    calls.clear()
    now[0] += 0.05  # less than IDLE_S
    assert card.clock.wake(work) == 0
    now[0] += 1.0  # as while a compiler runs
    assert card.clock.wake(work) == len(calls) > 0
    assert calls[-1] - calls[0] >= 0.2
    calls.clear()
    card.clock.seconds(lambda: None)
    assert card.clock.wake(work) == 0


def smi(folder: Any, text: str) -> str:
    (folder / "nvidia-smi").write_text(f"#!/bin/sh\n{text}\n")
    (folder / "nvidia-smi").chmod(0o755)
    return str(folder)


def test_clocks_and_power_are_asked_while_the_card_works(tmp_path: Any) -> None:
    path = smi(tmp_path, f"echo \"$@\" > {tmp_path}/call; sleep 0.2; echo '1755, 3201, [N/A]'")
    state, calls = CardState("0000:1B:00.0", path=path), []
    actual = state.sample(lambda: calls.append(1))
    assert actual == {"sm_clock_mhz": 1755.0, "memory_clock_mhz": 3201.0, "power_w": None}
    assert calls
    assert state.reason is None
    assert (tmp_path / "call").read_text().split() == [
        "--id=0000:1B:00.0",
        "--query-gpu=clocks.sm,clocks.mem,power.draw",
        "--format=csv,noheader,nounits",
    ]


def test_without_an_answer_there_is_a_reason(tmp_path: Any) -> None:
    missing = CardState(None, path=str(tmp_path))
    assert (missing.sample(lambda: None), missing.reason) == (None, "no nvidia-smi on PATH")
    broken = CardState(None, path=smi(tmp_path, "echo 'Failed to initialize NVML'; exit 9"))
    assert broken.sample(lambda: None) is None
    assert broken.reason == "nvidia-smi does not answer: Failed to initialize NVML"
    assert broken.sample(lambda: pytest.fail("asked again")) is None
