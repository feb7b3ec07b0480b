"""The predicted rows of bench.kernels are those that it launches: names, bytes, kernels and blocks."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import pytest
from cudasim.simulated import simulated_cupy

from bench.kernels import FULL
from bench.prediction.cards import H200, Card
from bench.prediction.floors import Prediction
from bench.prediction.geometry import Geometry
from bench.prediction.label_rows import ENDS_PER_PACK
from bench.prediction.rows import Launch, Row
from bench.prediction.table import BEGIN, END, all_rows, markdown, write_readme
from bench.prediction.tap_rows import tap_row, taps_of_warps
from bench.sides.kernel_work import RESTORED, blobs, scene, works
from gpu_infer.backends import taps
from gpu_infer.backends.base import taps as base_taps
from gpu_infer.backends.taps import TablePart, TapTable

SHAPE, WINDOW = (72, 40, 36), (24, 16, 20)


def _launched(backend: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[int, list[Any]]]:
    """Bytes and launches (kernel, blocks, threads, shared bytes) of each row."""
    from gpu_infer.backends.gpu.device.device import BLOCK, Device

    launches: list[tuple[str, int, int, int]] = []
    launch = Device.launch

    def record(self: Any, module: str, kind: str, blocks: int, *arguments: Any, **options: Any) -> None:
        launches.append((kind, blocks, prod(options.get("block", BLOCK)), options.get("shared", 0)))
        launch(self, module, kind, blocks, *arguments, **options)

    monkeypatch.setattr(Device, "launch", record)
    launched = {}
    for work in works(scene(backend, SHAPE, WINDOW)):
        if work.renew is not None:
            work.renew()
        launches.clear()
        work.call()
        launched[work.name] = (work.nbytes, launches[:: RESTORED if work.name == "restore" else 1])
    return launched


def _predicted(row: Row) -> tuple[int, list[Any]]:
    return row.nbytes, [(each.kernel, each.blocks, each.threads, each.shared) for each in row.launches]


@pytest.mark.slow
def test_rows_are_launched_as_predicted(monkeypatch: pytest.MonkeyPatch) -> None:
    with simulated_cupy() as gpu:
        backend = gpu.GpuBackend()
        launched = _launched(backend, monkeypatch)
        multiprocessors = backend._device.multiprocessors
    assert {row.name: _predicted(row) for row in all_rows(SHAPE, WINDOW, multiprocessors)} == launched


@pytest.mark.slow
def test_slabs_and_bands_are_launched_as_predicted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taps, "SLAB_BYTES", 20_000)
    monkeypatch.setattr(taps, "band_rows", lambda shape, axis, table: 30)  # of 36
    monkeypatch.setattr(base_taps, "band_rows", taps.band_rows)
    with simulated_cupy() as gpu:
        launched = _launched(gpu.GpuBackend(), monkeypatch)
    row = tap_row(Geometry.of(SHAPE, WINDOW))
    assert {launch.kernel for launch in row.launches} == {"taps_i2_f4", "taps_f4_f4", "turn_rows_f4_f4"}
    assert _predicted(row) == launched[row.name]


def test_a_warp_takes_as_many_taps_as_its_busiest_lane() -> None:
    count = np.array([2] * 31 + [5, 1, 3, 1], np.int32)
    part = TablePart.whole(TapTable(np.zeros(35, np.int32), count, np.ones((35, 5), np.float32)))
    assert taps_of_warps(part, 2, (2, 3, 35)) == (5 + 3) * 2 * 3
    assert taps_of_warps(part, 0, (35, 3, 40)) == (62 + 5 + 1 + 3 + 1) * 3 * 2
    assert taps_of_warps(part, 1, (7, 35, 20)) == (62 + 5 + 1 + 3 + 1) * 7


def test_a_warp_meets_as_many_ends_of_runs_as_the_histogram_is_taken_to() -> None:
    """Packs of 16 labels, eight per thread, 256 threads apart; a warp turns as often per word as its busiest lane."""
    threads, packs = 256, 8
    per_block = threads * packs * 16
    labels = blobs(Geometry.of(*FULL).grid).ravel()
    turns = []
    for block in range(0, labels.size // per_block, 100):
        read = labels[block * per_block :][:per_block].reshape(packs, threads, 16)
        last = np.concatenate([np.zeros((1, threads), np.uint8), read[:-1, :, -1]])
        before = np.concatenate([last[..., None], read[..., :-1]], axis=2)
        ends = (read != before).reshape(packs, threads // 32, 32, 4, 4).sum(axis=4)
        turns.append(ends.max(axis=2).sum(axis=2).mean())
    assert pytest.approx(np.mean(turns), rel=0.05) == ENDS_PER_PACK


def _prediction(card: Card, *, issue_s: float, bandwidth_s: float, latency_s: float = 0.0) -> Prediction:
    row = Row("row", 100, 50, 1000, 4, (Launch("kernel", 2),))
    return Prediction(row, card, 32, 8, 32_000.0, issue_s, 0.0, bandwidth_s, latency_s)


def test_the_slowest_of_the_floors_is_expected() -> None:
    by_bytes = _prediction(H200, issue_s=0.5, bandwidth_s=0.88)
    assert (by_bytes.expected_s, by_bytes.bound, by_bytes.share) == (1.0, "bytes", 0.88)
    by_issue = _prediction(H200, issue_s=1.3, bandwidth_s=0.88)
    assert (by_issue.expected_s, by_issue.bound, by_issue.share) == (2.0, "instructions", 0.44)
    assert _prediction(H200, issue_s=0.5, bandwidth_s=0.88, latency_s=4.0).bound == "latency"


def test_instructions_per_warp_and_per_output() -> None:
    one = _prediction(H200, issue_s=1.0, bandwidth_s=1.0)
    assert one.per_warp == 2000  # 32 000 of 2 blocks with 8 warps
    assert one.per_output == 1024  # of a thread: 32 lanes · 32 000 / 1000


def test_a_card_issues_four_instructions_per_clock_and_multiprocessor() -> None:
    assert H200.issue_rate == pytest.approx(1.045e12, rel=1e-3)


def _row(registers: int, share: float) -> dict[str, Any]:
    numbers = {
        "registers": registers,
        "blocks_per_multiprocessor": 3,
        "per_warp": 4434.0,
        "per_output": 70.9,
        "issue_us": 117.0,
        "bandwidth_us": 88.0,
        "share": share,
        "bound": "instructions",
    }
    return {"bytes": 378_000_000, "H200": numbers, "L4": {**numbers, "share": 0.88, "bound": "bytes"}}


def test_the_table_shows_what_has_changed() -> None:
    lines = markdown({"prepare": _row(70, 0.6)}, {"prepare": _row(72, 0.5)}).splitlines()
    assert lines[2] == (
        "| prepare | 72 → 3 ⇒ 70 → 3 | 378 MB | 4434 | 70.9 | 117 µs | 88 µs "
        "| 50% (instructions) ⇒ 60% (instructions) | 88% (bytes) |"
    )


def test_the_readme_is_written_between_its_marks(tmp_path: Any) -> None:
    path = tmp_path / "README.md"
    path.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    write_readme("new\n", path)
    assert path.read_text(encoding="utf-8") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    path.write_text("no marks", encoding="utf-8")
    with pytest.raises(RuntimeError, match="has no lines"):
        write_readme("new\n", path)
