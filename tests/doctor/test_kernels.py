"""Which kernels are compiled, on folders made for the purpose and on a simulated GPU."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from cudasim.simulated import simulated_cupy

from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.backends.gpu.compile.source import MODULES
from gpu_infer.doctor import kernels
from gpu_infer.doctor.kernels import check_kernels, count_compiled


def test_indexes_of_older_sources_do_not_count(tmp_path: Path) -> None:
    sources, folder = tmp_path / "sources", tmp_path / "cache"
    for path in (sources, folder):
        path.mkdir()
    for name in ("windows.py", "labels.py"):
        (sources / name).touch()
        os.utime(sources / name, (1000, 1000))
    for name, time_s in (
        ("windows.gather_windows-15.py311.nbi", 1000),
        ("windows.blend-40.py311.nbi", 999),  # compiled before the source was changed
        ("labels.map-7.py311.nbi", 2000),
        ("labels.map-7.py311.1.nbc", 2000),  # the machine code of that index
        ("gone.f-1.py311.nbi", 2000),  # of a module that is no more
    ):
        (folder / name).touch()
        os.utime(folder / name, (time_s, time_s))
    assert count_compiled(folder, sources) == 2
    assert count_compiled(tmp_path / "none", sources) == 0


def test_a_cpu_without_compiled_kernels_and_with_some(monkeypatch: pytest.MonkeyPatch) -> None:
    for count, text in ((0, "not compiled yet: the first run compiles "), (3, "3 compiled; ")):
        monkeypatch.setattr(kernels, "count_compiled", lambda *_, count=count: count)
        check = check_kernels(CpuBackend())
        assert check.status == "ok"
        assert check.found.startswith(text)


def test_no_folder_for_kernels_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpu_infer.backends.cpu.kernels.cache.CACHE", False)
    check = check_kernels(CpuBackend())
    assert check.status == "warn"
    assert check.remedy is not None
    assert "NUMBA_CACHE_DIR" in check.remedy


def test_a_gpu_names_the_modules_that_it_will_compile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPU_INFER_CACHE", str(tmp_path))
    monkeypatch.delenv("GPU_INFER_KERNELS", raising=False)
    with simulated_cupy() as module:
        backend = module.GpuBackend()
        assert check_kernels(backend).found == (
            f"the first run compiles {len(MODULES)} CUDA modules, once: {', '.join(MODULES)}"
        )
        assert backend.histogram(backend.zeros((3, 3), np.uint8)).tolist() == [9]
        missing = [name for name in MODULES if name != "statistics"]
        assert backend.missing_kernels() == missing
        monkeypatch.setattr(module.GpuBackend, "missing_kernels", lambda _: [])
        assert check_kernels(backend).found == "all CUDA modules are compiled"
