"""`gpu-infer doctor --warm-up` compiles what runs need."""

from __future__ import annotations

import itertools
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from cudasim.simulated import simulated_cupy

from gpu_infer.backends import dtypes
from gpu_infer.backends.cpu import warm_up as cpu_warm_up
from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.backends.cpu.warm_up_calls import resample_cubic
from gpu_infer.doctor.warm_up import warm_up


def _names(parts: cpu_warm_up.Parts) -> list[str]:
    return [name for part in parts for name, _ in part]


def _chosen(*chosen: str) -> cpu_warm_up.Parts:
    here, there = ([step for step in part if step[0] in chosen] for part in cpu_warm_up.common_steps())
    return here, there


def test_all_steps_cover_every_pair_of_dtypes() -> None:
    names = _names(cpu_warm_up.all_steps())
    pairs = itertools.product(dtypes.STORED, dtypes.MODEL)
    assert len(names) == len(set(names))
    assert {f"{np.dtype(stored)} volumes for {model} models" for stored, model in pairs} <= set(names)
    assert {f"{label} labels" for label in dtypes.LABELS} <= set(names)


def test_common_steps_are_a_part_of_all() -> None:
    common = set(_names(cpu_warm_up.common_steps()))
    assert common < set(_names(cpu_warm_up.all_steps()))
    assert {"float32 windows", "uint8 labels", "probabilities", "cubic resampling of float64 volumes"} <= common
    assert {"int16 volumes for float16 models", "components of uint8 labels"} <= common
    assert {"float32 windows", "uint8 labels", "probabilities"} <= set(_names(cpu_warm_up.sums_steps()))


@pytest.mark.parametrize("processors", [1, 2])
def test_the_steps_of_a_ct_run(processors: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each operation accepts the small arrays; other pairs of dtypes differ in nothing else."""
    chosen = ("float32 windows", "uint8 labels", "int16 volumes for float32 models")
    parts = _chosen(*chosen)
    assert [len(part) for part in parts] == [2, 1]
    monkeypatch.setattr(cpu_warm_up, "common_steps", lambda: parts)
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(processors)))
    lines: list[str] = []
    warm_up(CpuBackend(), lines.append)
    assert [line.partition(":")[0] for line in lines] == [f"compiling kernels, {n} of 3" for n in (1, 2, 3)]
    names = [line.partition(": ")[2] for line in lines]
    assert sorted(names) == sorted(chosen)
    assert processors == 2 or names == list(chosen)


def test_steps_that_fail_in_the_other_process_fail_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 1})
    step = partial(resample_cubic, stored="unheard", models=dtypes.MODEL)
    with pytest.raises(TypeError, match="unheard"):
        cpu_warm_up.warm_up(lambda *_: None, ([], [("a step", step)]))


def test_a_gpu_compiles_its_missing_modules_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPU_INFER_CACHE", str(tmp_path))
    monkeypatch.delenv("GPU_INFER_KERNELS", raising=False)
    parts = _chosen("probabilities")
    monkeypatch.setattr(cpu_warm_up, "sums_steps", lambda: parts)
    with simulated_cupy() as module:
        backend = module.GpuBackend()
        missing = backend.missing_kernels()
        lines: list[str] = []
        warm_up(backend, lines.append)
        on_host = ["compiling kernels of the host, 1 of 1: probabilities"]
        assert lines == [f"compiling {len(missing)} CUDA modules: {', '.join(missing)}", *on_host]
        assert backend.missing_kernels() == []
        warm_up(backend, lines.append)
        assert lines[2:] == on_host
