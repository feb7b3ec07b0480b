"""float16 arrays on the CPU: the bits of float32 ones, and no copy of the array."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from traced_memory import traced

from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.backends.resampling import linear_table
from gpu_infer.backends.tables import ClampedAffine
from gpu_infer.backends.tap_tables import cubic_table
from gpu_infer.backends.taps import scratch_bytes

BACKEND = CpuBackend()
SHAPE, TARGET = (60, 70, 80), (50, 90, 60)
FUNCTION = ClampedAffine(0.5, 1.0, low=-3.0, high=40.0)
SAME = ClampedAffine()
SLACK = 256 << 10


def _values() -> Any:
    values = np.random.default_rng(5).normal(0, 30, (1, *SHAPE)).astype(np.float16)
    values[values < -20] = 0
    return values


def _linear(source: Any, dtype: Any) -> Any:
    out = BACKEND.empty((1, *TARGET), dtype)
    x, y, z = (linear_table(a, b) for a, b in zip(SHAPE, TARGET, strict=True))
    BACKEND.resample(source, out, (x, y, z), FUNCTION, SAME)
    return out


def _cubic(source: Any, dtype: Any) -> Any:
    out = BACKEND.empty((1, *TARGET), dtype)
    x, y, z = (cubic_table(a, b) for a, b in zip(SHAPE, TARGET, strict=True))
    BACKEND.resample_taps(source, out, (x, y, z), FUNCTION, SAME)
    return out


def _masked(source: Any, dtype: Any) -> Any:
    out = BACKEND.empty(source.shape, dtype)
    BACKEND.masked_affine(source, out, FUNCTION)
    return out


def _within(source: Any, dtype: Any) -> Any:
    out = BACKEND.empty(source.shape, dtype)
    BACKEND.masked_affine(source, out, FUNCTION, MASK)
    return out


def _moments(source: Any, dtype: Any) -> Any:
    return np.array(BACKEND.masked_moments(source, dtype == np.float16))


MASK = np.random.default_rng(6).integers(0, 2, (1, *SHAPE), np.uint8)
OPERATIONS = [_linear, _cubic, _masked, _within, _moments]


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_bits_are_those_of_float32(operation: Callable[..., Any], order: Any, dtype: Any) -> None:
    half = np.asarray(_values(), order=order)
    np.testing.assert_array_equal(operation(half, dtype), operation(half.astype(np.float32, order="K"), dtype))


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_no_copy_of_the_array_is_made(operation: Callable[..., Any], dtype: Any) -> None:
    half = _values()
    x, y, z = (cubic_table(a, b) for a, b in zip(SHAPE, TARGET, strict=True))
    scratch = scratch_bytes(SHAPE, (x, y, z)) if operation is _cubic else 0
    size = operation(half, dtype).nbytes  # compiles the kernel
    result, peak = traced(lambda: operation(half, dtype))
    assert result.nbytes == size
    assert peak < size + scratch + SLACK


@pytest.mark.parametrize("nonzero_only", [False, True])
def test_numbers_of_16_bits_are_not_taken_for_float16(nonzero_only: bool) -> None:
    numbers = np.random.default_rng(7).integers(0, 1 << 16, (1, 20, 30, 40), np.uint16)
    mean, deviation = BACKEND.masked_moments(numbers, nonzero_only)[1:]
    chosen = numbers[numbers != 0] if nonzero_only else numbers
    np.testing.assert_allclose([mean, deviation], [chosen.mean(), chosen.std()], rtol=1e-12)
    out = np.empty(numbers.shape, np.float32)
    BACKEND.resample(numbers, out, None, SAME, SAME)
    np.testing.assert_array_equal(out, numbers)
