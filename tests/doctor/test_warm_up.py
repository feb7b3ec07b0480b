"""`gpu-infer doctor --warm-up` compiles what runs need."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from cudasim.simulated import simulated_cupy

from gpu_infer.backends import dtypes
from gpu_infer.backends.cpu import warm_up as cpu_warm_up
from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.doctor.warm_up import warm_up


def test_steps_cover_every_pair_of_dtypes() -> None:
    names = [name for name, _ in cpu_warm_up.steps()]
    pairs = itertools.product(dtypes.STORED, dtypes.MODEL)
    assert len(names) == len(set(names))
    assert {f"{np.dtype(stored)} volumes for {model} models" for stored, model in pairs} <= set(names)
    assert {f"{label} labels" for label in dtypes.LABELS} <= set(names)


def test_the_steps_of_a_ct_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each operation accepts the small arrays; other pairs of dtypes differ in nothing else."""
    chosen = ("float32 windows", "uint8 labels", "int16 volumes for float32 models")
    steps = [step for step in cpu_warm_up.steps() if step[0] in chosen]
    monkeypatch.setattr(cpu_warm_up, "steps", lambda: iter(steps))
    lines: list[str] = []
    warm_up(CpuBackend(), lines.append)
    assert lines == [f"compiling kernels, {number} of 3: {name}" for number, name in enumerate(chosen, 1)]


def test_a_gpu_compiles_its_missing_modules_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPU_INFER_CACHE", str(tmp_path))
    monkeypatch.delenv("GPU_INFER_KERNELS", raising=False)
    with simulated_cupy() as module:
        backend = module.GpuBackend()
        lines: list[str] = []
        warm_up(backend, lines.append)
        assert len(lines) == 1
        assert lines[0].startswith("compiling CUDA kernels: ")
        assert backend.missing_kernels() == []
        warm_up(backend, lines.append)
        assert len(lines) == 1
