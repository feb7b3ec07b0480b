"""Bounding boxes and extreme points against NumPy."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.transforms.extent import bounding_box, extreme_points

BACKEND = CpuBackend()


@given(seed=st.integers(0, 2**32 - 1), density=st.sampled_from([0.002, 0.02, 0.2]))
def test_the_box_of_voxels_above_a_value(seed: int, density: float) -> None:
    array = (np.random.default_rng(seed).random((2, 6, 7, 8)) < density).astype(np.int16) * 5
    indices = np.argwhere((array > 4).any(axis=0))
    expected = tuple((int(v.min()), int(v.max()) + 1) for v in indices.T) if len(indices) else None
    assert bounding_box(array, 4, BACKEND) == expected
    assert bounding_box(array, 5, BACKEND) is None


@given(seed=st.integers(0, 2**32 - 1), density=st.sampled_from([0.005, 0.05, 0.5]))
def test_extreme_points_are_the_first_in_scan_order(seed: int, density: float) -> None:
    labels = (np.random.default_rng(seed).random((1, 5, 6, 7)) < density).astype(np.uint8)
    indices = [tuple(int(v) for v in i) for i in np.argwhere(labels[0])]  # in scan order, Z fastest
    expected = []
    for axis in range(3) if indices else ():
        expected.append(min(indices, key=lambda i: i[axis]))
        expected.append(max(indices, key=lambda i: i[axis]))  # max returns the first of equals too
    assert extreme_points(labels, BACKEND) == expected
