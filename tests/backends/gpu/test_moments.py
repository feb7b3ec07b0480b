"""Moments on cards of any size: blocks follow the multiprocessors, and with them the order of float64 sums."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from cudasim.simulated import simulated_cupy

from gpu_infer.backends.base.backend import Moments


def moments(array: Any, multiprocessors: int, monkeypatch: pytest.MonkeyPatch) -> Moments:
    with simulated_cupy() as module:
        runtime: Any = sys.modules["cupy"].cuda.runtime
        properties = runtime.getDeviceProperties(0)
        monkeypatch.setattr(
            runtime, "getDeviceProperties", lambda number: {**properties, "multiProcessorCount": multiprocessors}
        )
        backend = module.GpuBackend()
        actual: Moments = backend.masked_moments(backend.upload(array), True)
        return actual


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_a_card_changes_no_more_than_the_last_float32_bit(dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    array = (np.random.default_rng(0).normal(size=(1, 61, 62, 63)) * 300 + 40).astype(dtype)
    chosen = array[array != 0].astype(np.longdouble)
    for multiprocessors in (1, 10, 58, 132):
        actual = moments(array, multiprocessors, monkeypatch)
        assert actual.voxels == chosen.size
        for value, exact in ((actual.mean, chosen.mean()), (actual.std, chosen.std())):
            assert abs(value - exact) < 1e-12 * abs(exact)  # far below half a bit of float32, 3e-8
            assert abs(np.float32(value) - np.float32(exact)) <= np.spacing(np.float32(exact))


def test_a_card_gives_the_same_bits_again(monkeypatch: pytest.MonkeyPatch) -> None:
    array = np.random.default_rng(1).normal(size=(1, 40, 41, 42)).astype(np.float32)
    assert moments(array, 58, monkeypatch) == moments(array, 58, monkeypatch)
