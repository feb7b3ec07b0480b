"""Free bytes for a run, on each side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gpu_infer.errors import ResourceError
from gpu_infer.planning import free_memory
from gpu_infer.planning.free_memory import UNLIMITED, FreeMemory, check_stored, resident_bytes


class _Backend:
    def __init__(self, name: str) -> None:
        self.name = name

    def free_bytes(self) -> int:
        return 5 << 30

    def bytes_to_load(self) -> int:
        return 30


def test_a_gpu_has_two_sides_and_a_cpu_one(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu: Any = _Backend("gpu")
    cpu: Any = _Backend("cpu")
    monkeypatch.setattr(free_memory, "free_host_bytes", lambda: 3 << 30)
    assert free_memory.free_memory(gpu) == FreeMemory(host=3 << 30, device=5 << 30)
    assert free_memory.free_memory(cpu) == FreeMemory(host=5 << 30, device=None)


def test_what_the_process_has_already_counts_as_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(free_memory, "resident_bytes", lambda: 40)
    assert FreeMemory(100, 7).with_resident() == FreeMemory(140, 7)
    assert UNLIMITED.with_resident() == UNLIMITED


def test_libraries_that_are_not_imported_yet_are_a_part_of_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu: Any = _Backend("cpu")
    monkeypatch.setattr(free_memory, "resident_bytes", lambda: 40)
    first = free_memory.measure_again(cpu, None)
    assert (first.host, first.resident) == ((5 << 30) - 30, 70)
    monkeypatch.setattr(free_memory, "resident_bytes", lambda: 75)  # imported, and 5 bytes of the first run
    monkeypatch.setattr(cpu, "bytes_to_load", lambda: 0)
    assert free_memory.measure_again(cpu, first) == FreeMemory((5 << 30) + 5, None, 70)


def test_resident_bytes_are_those_of_the_kernel() -> None:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    expected = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))
    assert resident_bytes() == pytest.approx(expected, rel=0.05)


def test_stored_voxels_beyond_the_free_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(free_memory, "free_host_bytes", lambda: 1 << 20)
    check_stored(1 << 20, Path("a.nii"))
    with pytest.raises(ResourceError, match=r"^a\.nii: its voxels take 2\.0 MiB, 1\.0 MiB of memory are free"):
        check_stored(2 << 20, Path("a.nii"))
