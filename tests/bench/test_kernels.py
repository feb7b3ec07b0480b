"""bench.kernels on simulated CUDA: every kernel is in the table, with the bytes that its arrays have."""

from __future__ import annotations

import ctypes
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from cudasim.simulated import simulated_cupy

from bench import kernels
from bench.sides.kernel_parts import part_edges, split_sums
from bench.sides.kernel_work import CLASSES
from deploy.gpu_check.profilers import LAUNCHES
from gpu_infer.backends.cpu.backend import CpuBackend

SHAPE, WINDOW = (24, 20, 16), (8, 8, 8)
NOTHING = {"moved": "", "GB/s": "", "of copy bandwidth": ""}


def _smi(folder: Path) -> Path:
    """A folder with an nvidia-smi that answers as an H200 at work."""
    folder.mkdir()
    (folder / "nvidia-smi").write_text("#!/bin/sh\necho '1980, 3201, 415.50'\n")
    (folder / "nvidia-smi").chmod(0o755)
    return folder


@pytest.mark.slow
def test_the_table_has_every_kernel_with_its_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "peers", lambda scene: {})
    monkeypatch.setenv("PATH", f"{_smi(tmp_path / 'bin')}:{os.environ['PATH']}")
    with simulated_cupy() as gpu:
        from gpu_infer.backends.gpu.compile.source import MODULES

        cuda: Any = sys.modules["cupy"].cuda
        cuda.get_elapsed_time = lambda begin, end: 1.0
        cuda.runtime.memcpyDeviceToDevice = 3
        copies = cuda.runtime.memcpyAsync

        def copy(to: int, source: int, nbytes: int, kind: int, stream: int) -> None:
            if kind == 3:
                ctypes.memmove(to, source, nbytes)
            else:
                copies(to, source, nbytes, kind, stream)

        cuda.runtime.memcpyAsync = copy
        measured = kernels.run(
            gpu.GpuBackend(),
            SHAPE,
            WINDOW,
            repeats=1,
            copied=1 << 16,
            lead=1 << 12,
            sweep=1 << 10,
            ramp=0.01,
            folder=tmp_path,
        )
    assert {name for m in measured for name in m.modules} == set(MODULES)
    voxels, grid = 24 * 20 * 16, 18 * 15 * 20
    moved = {m.row: m.nbytes for m in measured}
    assert moved["prepare, linear to 1 mm"] == 2 * voxels + 4 * grid
    assert moved["prepare, turn and scale"] == 6 * voxels
    assert moved["cubic to 1 mm"] == 2 * voxels + 4 * grid
    assert (moved["range, int16"], moved["digits, float32"]) == (2 * voxels, 4 * voxels)
    assert 16 * 8**3 * 4 < moved["gather 16 windows"] <= 16 * 8**3 * (4 + 4)
    assert moved["blend 32 windows"] == moved["blend 32 windows in parts, float32"] == 32 * 2 * 8**3 * 3 * 4
    assert moved["blend 32 windows in parts, float16"] == 32 * 2 * 8**3 * (2 + 4 + 4)
    assert moved["finish, argmax"] == 2 * (2 * grid * 4) + grid
    assert moved["finish, scores"] == 3 * (2 * grid * 4)
    assert moved["values under labels, int16"] == 3 * grid
    assert moved["sums under labels, float32"] == moved["digits under labels, float32"] == 5 * grid
    assert moved["softmax"] == moved["sigmoid"] == moved["limit to 0 … 1"] == 2 * (2 * grid * 4)
    assert moved["check of probabilities"] == 2 * grid * 4
    assert moved["entropy of classes"] == moved["entropy of masks"] == 3 * grid * 4
    assert moved["masked moments"] == 4 * voxels
    assert (moved["take (arrays)"], moved["convert (arrays)"]) == (8 * voxels, 6 * voxels)
    assert (moved["threshold"], moved["extent of a mask"]) == (5 * voxels, 4 * voxels)
    assert moved["lookup in 8 grids"] == 16 * grid
    assert moved["histogram of 8 grids"] == moved["places of labels in 8 grids"] == 8 * grid
    assert voxels < moved["restore"] <= voxels + grid
    assert voxels < moved["restore, scores to labels"] <= voxels + 2 * 4 * grid
    written = json.loads((tmp_path / "kernels.json").read_text(encoding="utf-8"))
    assert [row["kernel"] for row in written["rows"]] == [m.row for m in measured]
    assert written["copy_bandwidth_bytes_per_s"] == 2 * (1 << 16) * 1000
    assert written["launch_floor_s"] == 1e-3
    assert written["table"][0] == {"kernel": "launch floor", "side": "gpu_infer", "time": "1.0000 ms", **NOTHING}
    blended = next(row for row in written["rows"] if row["kernel"] == "blend 32 windows")
    assert (blended["launches"], blended["event_pairs"], blended["median_s"]) == (32, 1, 1e-3)
    restored = next(row for row in written["rows"] if row["kernel"] == "restore")
    assert (restored["launches"], restored["median_s"]) == (4, 1e-3 / 4)
    actual = next(row for row in written["rows"] if row["kernel"] == "largest components")
    assert actual["event_pairs"] == actual["launches"] > 1
    clocks = {"sm_clock_mhz": 1980.0, "memory_clock_mhz": 3201.0, "power_w": 415.5}
    assert all(row["card"] == clocks for row in written["rows"])
    assert written["card_missing"] is None
    assert actual["median_s"] == pytest.approx(actual["launches"] * 1e-3)


@pytest.mark.slow
def test_once_launches_every_row_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    launched: list[str] = []
    with simulated_cupy() as gpu:
        from gpu_infer.backends.gpu.compile.source import MODULES

        backend = gpu.GpuBackend()
        launch = backend._device.launch

        def note(module: str, *arguments: Any, **options: Any) -> None:
            launched.append(module)
            launch(module, *arguments, **options)

        monkeypatch.setattr(backend._device, "launch", note)
        rows = kernels.run_once(backend, SHAPE, WINDOW)
    assert rows > 15
    assert set(launched) == set(MODULES)
    assert len(launched) < LAUNCHES


def test_parts_of_sums_begin_where_the_number_of_windows_changes() -> None:
    """Windows of 8 at 0, 6 and 10 of 18 rows: one covers 0 … 5, two 6 and 7, one 8 and 9, two 10 … 13, one the rest."""
    assert part_edges(18, 8) == [0, 6, 8, 10, 14, 18]
    split = split_sums(CpuBackend(), CLASSES, (18, 15, 20), WINDOW)
    assert [(part.low, part.high) for part in split.parts] == [(0, 6), (6, 8), (8, 10), (10, 14), (14, 18)]
    for part in split.parts:
        part.rolling.sums[...] += 1
    assert split.sums.shape == (CLASSES * 18 * 15 * 20,)
    assert (split.sums == 1).all()  # every voxel has one place
