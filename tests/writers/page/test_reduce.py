"""Reduced grids: means as scikit-image computes them, labels counted voxel by voxel, positions in millimetres."""

from __future__ import annotations

from collections import Counter
from itertools import product
from typing import Any

import numpy as np
import pytest
from skimage.measure import block_reduce

from gpu_infer.volume.geometry import Geometry
from gpu_infer.writers.page.reduce import block_labels, block_means, block_size, reduced_geometry, slabs


def joined(array: Any, block: tuple[int, int, int], reduce: Any) -> Any:
    """The reduced array [I, J, K] of all slabs."""
    return np.concatenate([reduce(slab, block) for slab in slabs(array, block)]).transpose(2, 1, 0)


def padded(array: Any, block: tuple[int, int, int]) -> Any:
    return np.pad(array, [(0, -n % f) for n, f in zip(array.shape, block, strict=True)], mode="edge")


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((256, 1, 256), (1, 1, 1)), ((257, 512, 275), (2, 2, 2)), ((512, 513, 1100), (2, 3, 5))],
)
def test_no_axis_of_a_reduced_grid_has_more_than_256_voxels(shape: Any, expected: Any) -> None:
    assert block_size(shape) == expected


@pytest.mark.parametrize("block", [(1, 1, 1), (2, 2, 2), (3, 2, 1), (4, 1, 3), (5, 5, 2)])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.float64, np.int32])
def test_means_are_those_of_blocks(monkeypatch: pytest.MonkeyPatch, block: Any, order: Any, dtype: Any) -> None:
    monkeypatch.setattr("gpu_infer.writers.page.reduce._SLAB_VOXELS", 400)  # several slabs
    array = np.asarray(np.random.default_rng(1).integers(0, 200, (13, 11, 17)).astype(dtype), order=order)
    actual = joined(array, block, block_means)
    np.testing.assert_allclose(actual, block_reduce(padded(array, block), block, np.mean), rtol=1e-6)


@pytest.mark.parametrize("block", [(1, 1, 1), (2, 2, 2), (3, 2, 1), (4, 4, 4), (5, 3, 2)])
def test_labels_are_the_most_frequent_ones_of_the_middle(monkeypatch: pytest.MonkeyPatch, block: Any) -> None:
    monkeypatch.setattr("gpu_infer.writers.page.reduce._SLAB_VOXELS", 300)
    array = np.random.default_rng(2).integers(0, 3, (14, 11, 13)).astype(np.uint8)
    array[3:9, 2:8, 4:11] = 7
    source = padded(array, block)
    middles = [[f // 2] if f % 2 else [f // 2 - 1, f // 2] for f in block]
    expected = np.zeros([n // f for n, f in zip(source.shape, block, strict=True)], np.uint8)
    for place in np.ndindex(*expected.shape):
        voxels = (
            source[tuple(p * f + o for p, f, o in zip(place, block, offset, strict=True))]
            for offset in product(*middles)
        )
        expected[place] = max(Counter(voxels).items(), key=lambda item: (item[1], item[0]))[0]
    actual = joined(array, block, block_labels)
    assert actual.dtype == array.dtype
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("block", [(1, 1, 1), (2, 2, 2), (3, 2, 5)])
def test_voxels_of_the_reduced_grid_are_in_the_middle_of_their_blocks(block: Any) -> None:
    rng = np.random.default_rng(3)
    affine = np.eye(4)
    affine[:3] = rng.normal(size=(3, 4)) * 10  # oblique, with shear
    geometry = Geometry((13, 8, 10), affine)
    reduced = reduced_geometry(geometry, block)
    assert reduced.shape == tuple(-(-n // f) for n, f in zip((13, 8, 10), block, strict=True))
    for place in product(*(range(n) for n in reduced.shape)):
        ends = [(p * f, p * f + f - 1) for p, f in zip(place, block, strict=True)]
        corners = np.array([[*corner, 1.0] for corner in product(*ends)])
        np.testing.assert_allclose(reduced.affine @ [*place, 1.0], (affine @ corners.T).mean(axis=1), rtol=0, atol=1e-9)
