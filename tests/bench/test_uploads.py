"""bench.uploads on simulated CUDA: every file is read with each kind of upload, and the rows name them."""

from __future__ import annotations

import ctypes
import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from cudasim import stand_in
from cudasim.simulated import simulated_cupy

from bench import uploads
from bench.support import ct


def test_every_file_has_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = ct.phantom((20, 18, 12))
    monkeypatch.setattr(stand_in.Stream, "synchronize", lambda stream: None, raising=False)
    with simulated_cupy() as module:
        runtime: Any = sys.modules["cupy"].cuda.runtime  # type: ignore[attr-defined]
        pinned: dict[int, Any] = {}

        def allocate(nbytes: int, flags: int) -> int:
            memory = ctypes.create_string_buffer(nbytes)
            pinned[ctypes.addressof(memory)] = memory
            return ctypes.addressof(memory)

        runtime.hostAlloc, runtime.freeHost = allocate, pinned.pop
        monkeypatch.setattr(import_module("gpu_infer.backends.gpu.device.staging"), "CHUNK", 1024)
        result = uploads.run(module.GpuBackend(), small, 1, folder=tmp_path)
    assert pinned == {}
    sides: dict[str, list[str]] = {}
    for row in json.loads((tmp_path / "uploads.json").read_text(encoding="utf-8"))["table"]:
        sides.setdefault(row["file"], []).append(row["what"])
    memory = sides.pop("memory")
    assert memory == [uploads.STAGED, uploads.PIN, uploads.COPY]
    assert list(sides) == [".nii.gz", ".nii", ".mhd", ".zraw"]
    for file, rows in sides.items():
        assert rows == [uploads.EARLY, uploads.LATE, uploads.ALONE]
        assert 0 <= result.data[file]["bytes_up_early"] <= small.nbytes


def test_without_a_gpu_the_bench_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["bench.uploads", "--quick"])
    monkeypatch.setattr(ct, "phantom", lambda shape: None)
    with simulated_cupy(devices=0), pytest.raises(SystemExit, match=r"^bench\.uploads needs a GPU: no CUDA device"):
        uploads.main()
