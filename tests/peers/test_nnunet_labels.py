"""Our transforms of masks and labels against nnU-Net's own functions."""

from __future__ import annotations

from typing import Any

import numpy as np
from nnunetv2.postprocessing.remove_connected_components import remove_all_but_largest_component_from_segmentation
from nnunetv2.utilities.label_handling.label_handling import LabelManager
from peers_ours import BACKEND, finished, volume_of

from gpu_infer.transforms.chain.pipeline import Pipeline
from gpu_infer.transforms.registry import TRANSFORMS


def test_merge_masks(equivalence: Any) -> None:
    """Regions of BraTS: whole tumour, tumour core, enhancing tumour."""
    order = [1, 2, 3]
    manager = LabelManager({"background": 0, "wt": [1, 2, 3], "tc": [2, 3], "et": 3}, order)
    logits = np.random.default_rng(5).normal(size=(3, 17, 14, 11)).astype(np.float32)
    expected = manager.convert_logits_to_segmentation(logits)
    post = [
        TRANSFORMS["Sigmoid"](fields="model"),
        TRANSFORMS["ThresholdValues"](fields="model", threshold=0.5),
        TRANSFORMS["MergeMasks"](fields="model", labels=order),
    ]
    pipeline = Pipeline([TRANSFORMS["LoadNifti"](fields="image")], post)
    fields = pipeline.prepare(volume_of(np.zeros((17, 14, 11), np.int16)), BACKEND)
    masks = (logits > np.reshape(pipeline.thresholds(3), (3, 1, 1, 1))).astype(np.uint8)
    pipeline.accept(masks, fields)
    actual = pipeline.deliver(fields, BACKEND)["model"]
    sure = (np.abs(logits) > 1e-6).all(axis=0)
    assert sure.all()
    assert np.array_equal(actual, np.asarray(expected))
    equivalence.record(
        "nnunetv2 LabelManager.convert_logits_to_segmentation (regions)",
        "Sigmoid, ThresholdValues, MergeMasks",
        tolerance="equal if no logit is within 1e-6 of 0",
        worst=0.0,
    )


def test_largest_component_of_the_foreground(equivalence: Any) -> None:
    cases = 5
    for seed in range(cases):
        rng = np.random.default_rng(seed)
        labels = (rng.random((20, 18, 15)) < 0.2).astype(np.uint8) * rng.integers(1, 4, (20, 18, 15), np.uint8)
        for applied in ([1, 2, 3], [1, 3]):
            expected = remove_all_but_largest_component_from_segmentation(labels, tuple(applied))
            args = {"independent": False, "connectivity": 3, "applied_labels": applied}
            assert np.array_equal(finished(labels, [], None, ("KeepLargestCC", args)), expected)
    equivalence.record(
        "nnunetv2 remove_all_but_largest_component_from_segmentation",
        "KeepLargestCC (independent false, connectivity 3)",
        tolerance="equal",
        worst=0.0,
        cases=2 * cases,
        differs="Of components of equal size, gpu_infer keeps the first in scan order, nnU-Net all.",
    )
