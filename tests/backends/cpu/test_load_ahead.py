"""Kernels that a thread loads while a volume is read: what it imports, what it leaves to the operations, its end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from no_threads import refuse_thread

from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.backends.cpu.kernels.launch import FEW
from gpu_infer.backends.cpu.kernels.machine_code import NotCached, cached_only
from gpu_infer.backends.cpu.load_ahead import KernelLoader, load_kernels

PROGRAM = """
import json, sys
import numpy as np
from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.backends.resampling import linear_table
from gpu_infer.backends.tables import ClampedAffine

def resampled(dtype):
    source, out = np.arange(8, dtype=dtype).reshape(1, 2, 2, 2), np.zeros((1, 3, 3, 3), np.float32)
    cpu.resample(source, out, (linear_table(2, 3),) * 3, ClampedAffine(), ClampedAffine())
    return out.ravel().tolist()

cpu = CpuBackend()
unloaded = cpu.bytes_to_load()
without = "numba" not in sys.modules
{ahead}
result = {result}
print(json.dumps([without, unloaded > 0, cpu.bytes_to_load(), result]))
"""

AHEAD = """
with cpu.load_ahead(np.int16, np.float32, 8, 8) as loader:
    loader.join()
from gpu_infer.backends.cpu.kernels.prepare import resample
loaded = len(resample.overloads)
"""


def _run(cache: Path, ahead: str = "", result: str = "resampled(np.int16)", **variables: str) -> Any:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache), **variables}
    program = PROGRAM.format(ahead=ahead, result=result)
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_backend_is_made_without_numba_and_computes_the_same_after_loading_ahead(tmp_path: Path) -> None:
    without, unloaded, rest, plain = _run(tmp_path)
    assert (without, unloaded, rest) == (True, True, 0)
    corners = np.array(plain).reshape(3, 3, 3)[::2, ::2, ::2]
    np.testing.assert_array_equal(corners.ravel(), np.arange(8))  # the first and the last voxel keep their places
    assert _run(tmp_path, AHEAD)[3] == plain
    assert _run(tmp_path, AHEAD, "loaded")[3] == 1


def test_a_kernel_that_the_cache_lacks_is_not_compiled_ahead(tmp_path: Path) -> None:
    assert _run(tmp_path, AHEAD, "loaded")[3] == 0
    assert not list(tmp_path.rglob("*.nbc"))
    assert len(_run(tmp_path, AHEAD)[3]) == 27


def test_without_a_cache_nothing_is_compiled_ahead(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert _run(tmp_path / "file" / "folder", AHEAD, "loaded")[3] == 0


BROKEN = """
sys.modules["numba"] = None
with cpu.load_ahead(np.int16, np.float32, 8, 8) as loader:
    loader.join()

def attempt():
    try:
        resampled(np.int16)
    except ImportError as error:
        return str(error)
"""


def test_an_error_of_an_import_is_that_of_the_operation(tmp_path: Path) -> None:
    assert "numba" in _run(tmp_path, BROKEN, "attempt()")[3]


CACHED_ONLY = """
from gpu_infer.backends.cpu.kernels.machine_code import NotCached, cached_only
try:
    with cached_only():
        resampled(np.int16)
except NotCached as error:
    missing = str(error)
"""


def test_cached_only_compiles_nothing_and_ends_with_its_block(tmp_path: Path) -> None:
    missing, values = _run(tmp_path, CACHED_ONLY, "[missing, resampled(np.int16)]")[3]
    assert "resample" in missing
    assert len(values) == 27


def test_another_thread_compiles_while_one_takes_cached_kernels_only() -> None:
    labels, counts = np.zeros((2, 2, 2), np.uint8), []
    thread = threading.Thread(target=lambda: counts.append(CpuBackend().histogram(labels).tolist()))
    with cached_only():
        thread.start()
        thread.join()
    assert counts == [[8]]


def test_the_end_waits_for_the_step_in_work_and_skips_the_others() -> None:
    begun, go_on, done = threading.Event(), threading.Event(), []

    def first() -> None:
        begun.set()
        assert go_on.wait(30)
        done.append("first")

    loader = KernelLoader([first, lambda: done.append("second")])
    assert begun.wait(30)
    threading.Timer(0.05, go_on.set).start()
    with loader:
        pass
    assert done == ["first"]


@pytest.mark.parametrize("error", [ImportError("numba is broken"), MemoryError(), KeyboardInterrupt(), NotCached("x")])
def test_errors_stay_in_the_thread(error: BaseException) -> None:
    done: list[str] = []

    def fail() -> None:
        done.append("failed")
        raise error

    with KernelLoader([fail, lambda: done.append("further")]) as loader:
        loader.join()
    assert done == ["failed"]


def test_without_another_thread_nothing_is_loaded_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(threading.Thread, "start", refuse_thread)
    with KernelLoader([lambda: done.append("step")]) as loader:
        loader.join()
    assert done == []


@pytest.mark.parametrize(("gathered", "blended"), [(FEW, FEW + 1), (FEW + 1, FEW)])
def test_the_kernels_are_those_for_as_many_voxels(monkeypatch: pytest.MonkeyPatch, gathered: int, blended: int) -> None:
    """On one thread or on several."""
    sizes: list[int] = []
    monkeypatch.setattr(CpuBackend, "gather", lambda cpu, volume, starts, slot, fill: sizes.append(slot.size))
    monkeypatch.setattr(CpuBackend, "blend", lambda cpu, slot, *arguments: sizes.append(slot.size))
    with load_kernels(np.dtype(np.int16), np.dtype(np.float32), gathered, blended) as loader:
        loader.join()
    assert [size > FEW for size in sizes] == [gathered > FEW, blended > FEW]


@pytest.mark.parametrize("voxels", [8, 1 << 20])
@pytest.mark.parametrize("model", [np.float32, np.float16])
def test_the_thread_leaves_nothing_behind(model: type[np.generic], voxels: int) -> None:
    before = threading.active_count()
    with load_kernels(np.dtype(np.int16), np.dtype(model), voxels, voxels) as loader:
        loader.join()
    assert threading.active_count() == before
