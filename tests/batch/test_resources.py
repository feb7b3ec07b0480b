"""GPUs and processors of the workers of one host."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from jobs import make_job

from gpu_infer.batch.engines import resources
from gpu_infer.batch.engines.resources import default_workers, gpus_of_listing, visible_gpus, worker_environment

TWO = """GPU 0: NVIDIA H200 (UUID: GPU-aaaa-1)
GPU 1: NVIDIA H200 (UUID: GPU-bbbb-2)
"""
DIVIDED = """GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-aaaa-1)
  MIG 3g.20gb     Device  0: (UUID: MIG-1111)
  MIG 3g.20gb     Device  1: (UUID: MIG-2222)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-bbbb-2)
"""


def test_the_gpus_of_a_listing() -> None:
    assert gpus_of_listing(TWO) == ["GPU-aaaa-1", "GPU-bbbb-2"]
    assert gpus_of_listing(DIVIDED) == ["MIG-1111", "MIG-2222", "GPU-bbbb-2"]
    assert gpus_of_listing("No devices were found\n") == []


@pytest.mark.parametrize(
    ("value", "gpus"),
    [("", []), ("-1", []), ("0", ["0"]), ("2, 0", ["2", "0"]), ("1,-1,0", ["1"]), ("GPU-a", ["GPU-a"])],
)
def test_the_variable_decides(value: str, gpus: list[str]) -> None:
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": value}) == gpus
    assert default_workers("auto", {"CUDA_VISIBLE_DEVICES": value}) == max(len(gpus), 1)
    assert default_workers("cpu", {"CUDA_VISIBLE_DEVICES": value}) == 1


def test_nvidia_smi_is_asked_without_it(tmp_path: Path) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{TWO}END\n")
    program.chmod(0o755)
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    assert visible_gpus(environ) == ["GPU-aaaa-1", "GPU-bbbb-2"]


def test_the_driver_is_asked_without_nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "_DRIVER_GPUS", tmp_path)
    assert visible_gpus({"PATH": "/nowhere"}) == []
    (tmp_path / "0000:01:00.0").mkdir()
    assert visible_gpus({"PATH": "/nowhere"}) == ["0"]


def test_workers_take_the_gpus_in_turn_and_share_the_processors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)))
    job = replace(make_job(tmp_path), workers=3)
    assert worker_environment(job, {"CUDA_VISIBLE_DEVICES": "4,7"}) == [
        {"NUMBA_NUM_THREADS": "5", "CUDA_VISIBLE_DEVICES": gpu} for gpu in ("4", "7", "4")
    ]
    own = {"CUDA_VISIBLE_DEVICES": "", "NUMBA_NUM_THREADS": "2"}
    assert worker_environment(job, own) == [{}] * 3
    assert worker_environment(replace(job, workers=1), {"CUDA_VISIBLE_DEVICES": ""}) == [{}]
    cpu = replace(make_job(tmp_path, device="cpu"), workers=1)
    assert worker_environment(cpu, {"CUDA_VISIBLE_DEVICES": "4,7"}) == [{}]
