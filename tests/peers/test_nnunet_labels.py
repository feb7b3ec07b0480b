"""Our transforms of labels against those of nnU-Net's postprocessing."""

from __future__ import annotations

from typing import Any

import numpy as np
import transforms_checks_labels
from acvl_utils.morphology.morphology_helper import remove_all_but_largest_component
from nnunetv2.utilities.label_handling.label_handling import LabelManager
from peers_ours import finished
from scipy import ndimage
from transforms_oracle import STORED, transform


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


def test_regions_in_an_order(equivalence: Any) -> None:
    """Logits of overlapping regions become one label map; later regions of the order overwrite earlier ones."""
    regions = {"background": 0, "whole": (1, 2, 3), "core": (2, 3), "active": (3,)}
    orders = ([1, 2, 3], [3, 1, 2], [2, 2, 1])
    for seed, order in enumerate(orders):
        logits = np.random.default_rng(seed).normal(-0.5, 1, (3, *STORED.shape)).astype(np.float32)
        expected = np.asarray(LabelManager(regions, order).convert_logits_to_segmentation(logits))
        above = transform("ThresholdAcrossChannels", fields="model", threshold=0.5, sigmoid=True)
        merge = transform("MergeMasks", fields="model", labels=order)
        actual = transforms_checks_labels.finished([above, merge], logits)["model"]
        assert set(np.unique(expected)) == {0, *order}
        assert np.array_equal(actual, expected)
    equivalence.record(
        "nnunetv2 LabelManager.convert_logits_to_segmentation (regions_class_order)",
        "ThresholdAcrossChannels (sigmoid), then MergeMasks",
        tolerance="equal",
        worst=0.0,
        cases=len(orders),
    )
