"""Copies of voxels between views of any strides and dtype."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.transforms.copying import copy_voxels


@pytest.mark.parametrize("dtype", [np.float32, np.uint8, np.uint16, np.int16, np.float64])
def test_copies_into_a_strided_view(dtype: Any) -> None:
    source = np.random.default_rng(0).integers(0, 200, (2, 5, 4, 3)).astype(dtype)
    if source.dtype == np.float32:
        source[0, 0, 0] = np.nan, np.inf, -np.inf
    target = np.zeros((2, 9, 4, 8), dtype)
    window = np.s_[:, 7:2:-1, :, 1:7:2]
    copy_voxels(source, target[window], CpuBackend())
    np.testing.assert_array_equal(target[window], source)
    assert np.count_nonzero(target) == np.count_nonzero(source)


def test_an_empty_source_is_no_work() -> None:
    target = np.ones((1, 0, 4, 4), np.float32)
    copy_voxels(np.empty((1, 0, 4, 4), np.float32), target, CpuBackend())
    assert target.size == 0
