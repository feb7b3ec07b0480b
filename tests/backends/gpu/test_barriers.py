"""Every barrier of the kernels that stage planes is needed: without any one of them some order of threads shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cudasim.simulated import simulated_cupy

from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.backends.gpu.compile.source import kernel_source
from gpu_infer.backends.resampling import linear_table
from gpu_infer.backends.tables import ClampedAffine

TESTS = Path(__file__).resolve().parents[2]
BARRIER = "__syncthreads();"
ORDERS = ("forward", "reversed", "scattered")
SHAPE, TARGET = (34, 6, 37), {"prepare": (40, 6, 70), "turn": (34, 6, 37), "restore_argmax": (40, 6, 70)}


def own_text(module: str) -> tuple[str, str]:
    """(headers, the module's own file), with kernels of one dtype."""
    headers, line, text = kernel_source(module).partition(f'#line 1 "{module}.cu"\n')
    return headers + line, re.sub(r"^(PREPARE|TURN)\((?!short, i2\)).*$", "", text, flags=re.MULTILINE)


def without(module: str, barrier: int | None) -> str:
    """The module's source without its n-th barrier; None: with all of them."""
    headers, text = own_text(module)
    parts = text.split(BARRIER)
    joints = ["" if n == barrier else BARRIER for n in range(len(parts) - 1)] + [""]
    return headers + "".join(part + joint for part, joint in zip(parts, joints, strict=True))


def computed(backend: Any, module: str) -> Any:
    """A source with X fastest and an output with Z fastest, in several blocks and slices."""
    rng = np.random.default_rng(0)
    if module == "restore_argmax":
        scores = rng.normal(size=(3, *SHAPE)).astype(np.float32)
        tables = tuple(linear_table(a, b) for a, b in zip(SHAPE, TARGET[module], strict=True))
        labels = backend.zeros(TARGET[module][::-1], np.uint8).transpose(2, 1, 0)
        backend.restore_argmax(backend.upload(scores), tables, labels)
        return backend.download(labels)
    source = backend.upload(rng.integers(-999, 999, SHAPE[::-1]).astype(np.int16)).transpose(2, 1, 0)[None]
    tables = tuple(linear_table(a, b) for a, b in zip(SHAPE, TARGET[module], strict=True))
    out = backend.zeros((1, *TARGET[module]), np.float32)
    backend.resample(source, out, tables, ClampedAffine(), ClampedAffine())
    return backend.download(out)


def orders_that_differ(module: str, barrier: int | None) -> list[str]:
    expected = computed(CpuBackend(), module)
    orders = []
    with simulated_cupy() as gpu, pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        from gpu_infer.backends.gpu.compile import modules as gpu_modules

        original = gpu_modules.kernel_source
        patch.setattr(gpu_modules, "_own_folder", lambda: Path(folder))
        patch.setattr(gpu_modules, "kernel_source", lambda m: without(m, barrier) if m == module else original(m))
        backend = gpu.GpuBackend()
        for order in ORDERS:
            patch.setenv("CUDASIM_ORDER", order)
            if not np.array_equal(computed(backend, module), expected):
                orders.append(order)
    return orders


def test_the_kernels_are_right_with_all_barriers() -> None:
    assert {module: orders_that_differ(module, None) for module in TARGET} == {module: [] for module in TARGET}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "barrier"), [(module, n) for module in TARGET for n in range(own_text(module)[1].count(BARRIER))]
)
def test_a_kernel_without_a_barrier_is_wrong_in_some_order(module: str, barrier: int) -> None:
    """In a process of its own, which may crash: a pointer may be read before it is written."""
    code = f"from test_barriers import *; sys.exit(not orders_that_differ({module!r}, {barrier}))"
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join((str(TESTS / "support"), str(TESTS / "backends/gpu")))}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=False, env=environ)
    assert "Error" not in done.stderr, done.stderr
    assert done.returncode in (0, -11), done.stderr
