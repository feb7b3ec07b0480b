"""Our transforms of label maps against MONAI's if both mean the same."""

from __future__ import annotations

from collections import Counter
from typing import Any

import monai.transforms as mt
import numpy as np
import pytest
import torch
from peers_monai import tensor
from peers_ours import finished


@pytest.mark.parametrize("connectivity", [1, 2, 3])
def test_keep_largest_component(connectivity: int, equivalence: Any) -> None:
    rng = np.random.default_rng(connectivity)
    cases = 6
    for _ in range(cases):
        labels = (rng.random((24, 20, 16)) < 0.25).astype(np.uint8) * rng.integers(1, 4, (24, 20, 16), np.uint8)
        expected = mt.KeepLargestConnectedComponent(
            applied_labels=[1, 2, 3], is_onehot=False, independent=True, connectivity=connectivity
        )(torch.from_numpy(labels[None]))
        actual = finished(labels, [], None, ("KeepLargestCC", {"connectivity": connectivity}))
        sizes = [np.count_nonzero(actual == label) for label in (1, 2, 3)]
        assert sizes == [int((expected == label).sum()) for label in (1, 2, 3)]
        # of components of one size, either may stay
        unique = [_is_unique(labels == label, connectivity) for label in (1, 2, 3)]
        for label, one in zip((1, 2, 3), unique, strict=True):
            if one:
                assert np.array_equal(actual == label, (expected[0] == label).numpy())
    equivalence.record(
        "monai.transforms.KeepLargestConnectedComponent",
        "KeepLargestCC",
        tolerance="equal",
        worst=0.0,
        cases=cases,
        differs="Voxels connect through faces by default (MONAI: also corners); of components of equal size, the "
        "first in scan order is kept.",
    )


def test_largest_component_of_all_labels(equivalence: Any) -> None:
    cases = 6
    for seed in range(cases):
        labels = blobs(seed)
        expected = mt.KeepLargestConnectedComponent(is_onehot=False, independent=False, connectivity=1)(
            torch.from_numpy(labels[None])
        )
        actual = finished(labels, [], None, ("KeepLargestCC", {"independent": False}))
        assert _is_unique(labels > 0, 1)
        assert np.array_equal(actual, expected[0].numpy())
    equivalence.record(
        "monai.transforms.KeepLargestConnectedComponent(independent=False)",
        "KeepLargestCC (independent false)",
        tolerance="equal",
        worst=0.0,
        cases=cases,
    )


def blobs(seed: int, width: float = 1.2) -> np.ndarray:
    """Labels 0 to 3 in lumps of some voxels."""
    from scipy import ndimage

    smooth = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(24, 20, 16)), width)
    return np.digitize(smooth, np.quantile(smooth, [0.45, 0.7, 0.9])).astype(np.uint8)


def absent_size(mask: np.ndarray, connectivity: int) -> int:
    """From 8 on, the first number of voxels that no component has."""
    from scipy import ndimage

    parts, _ = ndimage.label(mask, ndimage.generate_binary_structure(3, connectivity))
    sizes = set(np.bincount(parts.ravel())[1:].tolist())
    return next(size for size in range(8, 1000) if size not in sizes)


@pytest.mark.parametrize("connectivity", [1, 2, 3])
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_remove_small_objects(connectivity: int, equivalence: Any) -> None:
    cases = 4
    affine, changed = np.diag([0.5, 0.8, 2.0, 1.0]), Counter[tuple[str, ...]]()
    for seed in range(cases):
        labels = blobs(seed)
        one, two = (labels == 2).astype(np.uint8), np.where(labels > 1, labels, np.uint8(0))
        size = absent_size(one, connectivity)
        for labelled, args in (
            (one, {"min_size": size}),
            (two, {"min_size": absent_size(two > 0, connectivity), "independent_channels": False}),
            (one, {"min_size": (size - 0.5) * 0.8, "by_measure": True}),
        ):
            args = {**args, "connectivity": connectivity}
            expected = mt.RemoveSmallObjects(**args)(tensor(labelled, affine)).numpy()[0]
            actual = finished(labelled, [], None, ("RemoveSmallObjects", args), affine=affine)
            assert np.array_equal(actual, expected)
            changed[tuple(args)] += int((actual != labelled).sum())
    assert min(changed.values()) > 10
    equivalence.record(
        "monai.transforms.RemoveSmallObjects",
        "RemoveSmallObjects",
        tolerance="equal",
        worst=0.0,
        cases=3 * cases,
        differs="A component of exactly min_size voxels stays; with scikit-image 0.26, MONAI removes it. Of a map of "
        "several labels, gpu_infer takes the connected components of each label; MONAI counts all voxels of a label as "
        "one object.",
    )


@pytest.mark.parametrize("connectivity", [1, 2, 3])
def test_fill_holes(connectivity: int, equivalence: Any) -> None:
    cases, changed = 4, 0
    for seed in range(cases):
        labels = blobs(seed, 3.0)
        labels[np.random.default_rng(seed).random(labels.shape) < 0.03] = 0
        for applied in (None, [2]):
            expected = mt.FillHoles(applied_labels=applied, connectivity=connectivity)(
                torch.from_numpy(labels[None].copy())
            )
            args = {"connectivity": connectivity, "applied_labels": applied}
            actual = finished(labels, [], None, ("FillHoles", args))
            assert np.array_equal(actual, expected[0].numpy())
            changed += int((actual != labels).sum())
    assert changed > 10
    equivalence.record("monai.transforms.FillHoles", "FillHoles", tolerance="equal", worst=0.0, cases=2 * cases)


def test_relabel_values(equivalence: Any) -> None:
    labels = blobs(3)
    expected = mt.MapLabelValue([1, 2, 3], [3, 0, 1])(torch.from_numpy(labels[None]))
    actual = finished(labels, [], None, ("RelabelValues", {"orig_labels": [1, 2, 3], "target_labels": [3, 0, 1]}))
    assert np.array_equal(actual, np.asarray(expected)[0])
    equivalence.record("monai.transforms.MapLabelValue", "RelabelValues", tolerance="equal", worst=0.0)


def _is_unique(mask: np.ndarray, connectivity: int) -> bool:
    from scipy import ndimage

    actual, count = ndimage.label(mask, ndimage.generate_binary_structure(3, connectivity))
    sizes = np.sort(np.bincount(actual.ravel(), minlength=count + 1)[1:])
    return count < 2 or sizes[-1] > sizes[-2]
