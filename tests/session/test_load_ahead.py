"""A session loads the kernels of its first run ahead, and reserves its slots until the end of the run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gpu_infer.session import shared as module
from gpu_infer.session.shared import Shared
from gpu_infer.settings import Settings


class _Backend:
    def __init__(self) -> None:
        self.events: list[Any] = []

    @contextmanager
    def load_ahead(self, stored: Any, model: Any, gathered: int, blended: int) -> Iterator[None]:
        self.events.append((np.dtype(stored), np.dtype(model), gathered, blended))
        yield
        self.events.append("end")

    @contextmanager
    def reserve_ahead(self, nbytes: int) -> Iterator[None]:
        self.events.append(nbytes)
        yield
        self.events.append("removed")


def _load_twice(backend: _Backend, folder: Path, monkeypatch: pytest.MonkeyPatch, **memory: Any) -> Shared:
    monkeypatch.setattr(Shared, "backend", lambda shared: backend)
    monkeypatch.setattr(Shared, "transport", lambda shared: backend)
    inputs: Any = SimpleNamespace(header=SimpleNamespace(dtype=np.dtype(np.int16)))
    model = SimpleNamespace(input=SimpleNamespace(dtype=np.dtype(np.float32)))
    fit = SimpleNamespace(window=(4, 5, 6), model_channels=3, channels_out=5)
    of_plan = SimpleNamespace(arena_bytes=7, knobs=SimpleNamespace(batch=4), **memory)
    grid = SimpleNamespace(distinct_count=2)
    plan: Any = SimpleNamespace(model=model, fit=fit, parts=(), memory=of_plan, grid=grid)
    shared = Shared(Settings(input=folder, output=folder), lasting=True)
    with ExitStack() as turn:
        for _ in range(2):
            with shared.load_ahead(inputs, plan, turn):
                backend.events.append("read")
            backend.events.append("run")
    return shared


def test_the_first_run_of_a_session_loads_ahead(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    backend = _Backend()
    shared = _load_twice(backend, tmp_path, monkeypatch, slots_fit_early=True)
    shared.close()
    loaded = (np.int16, np.float32, 2 * 3 * 120, 2 * 5 * 120)  # two windows are fewer than a batch
    assert backend.events == [7, loaded, "read", "end", "run", "read", "run", "removed"]


def test_slots_are_not_reserved_ahead_if_they_would_raise_the_peak(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    backend = _Backend()
    _load_twice(backend, tmp_path, monkeypatch, slots_fit_early=False).close()
    assert 7 not in backend.events


def test_slots_that_another_run_has_reserved_count_as_open(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Otherwise /dev/shm would seem to be too small for a second run, which uses the same slots."""
    seen: list[int] = []
    transport: Any = SimpleNamespace(bytes_ahead=5000)
    monkeypatch.setattr(Shared, "transport", lambda shared: transport)
    monkeypatch.setattr(Shared, "backend", lambda shared: None)
    monkeypatch.setattr(Shared, "_again", lambda shared, action: action())
    monkeypatch.setattr(module, "measure_again", lambda backend, free, most: free)
    monkeypatch.setattr(module, "plan_run", lambda *arguments: seen.append(arguments[-1].open_slots))
    shared = Shared(Settings(input=tmp_path, output=tmp_path), lasting=True)
    inputs: Any = None
    shared.plan(inputs)
    assert seen == [5000]
