"""Our transforms of labels against those of nnU-Net's postprocessing."""

from __future__ import annotations

from typing import Any

import numpy as np
from acvl_utils.morphology.morphology_helper import remove_all_but_largest_component
from peers_ours import finished
from scipy import ndimage


def test_largest_component_of_the_foreground(equivalence: Any) -> None:
    """What remove_all_but_largest_component_from_segmentation does with this function."""
    cases = 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        labels = (rng.random((20, 18, 15)) < 0.07).astype(np.uint8) * rng.integers(1, 4, (20, 18, 15), np.uint8)
        for applied in ([1, 2, 3], [1, 3]):
            mask = np.isin(labels, applied)
            parts, _ = ndimage.label(mask, np.ones((3, 3, 3)))
            sizes = np.sort(np.bincount(parts.ravel())[1:])
            if sizes[-1] == sizes[-2]:
                continue
            expected = np.where(mask & ~remove_all_but_largest_component(mask), 0, labels)
            args = {"independent": False, "connectivity": 3, "applied_labels": applied}
            actual = finished(labels, [], None, ("KeepLargestCC", args))
            assert np.array_equal(actual, expected)
            assert (actual != labels).any()
            cases += 1
    assert cases > 5
    equivalence.record(
        "nnunetv2 remove_all_but_largest_component_from_segmentation",
        "KeepLargestCC (independent false, connectivity 3)",
        tolerance="equal",
        worst=0.0,
        cases=cases,
        differs="Of components of equal size, gpu_infer keeps the first in scan order, nnU-Net all.",
    )
