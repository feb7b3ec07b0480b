"""Values and refusals of MergeMasks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from pydantic import ValidationError
from scipy import ndimage
from transforms_checks_labels import LABELS, finished
from transforms_oracle import ARGMAX, RNG, STORED, transform

from gpu_infer.errors import ConfigError


def check_merge_of_fields(scores: np.ndarray) -> None:
    """Masks that became fields of their own, and were changed one by one."""
    above = transform("ThresholdAcrossChannels", fields="model", threshold=0.6)
    split = transform("SplitAcrossChannels", field="model", channel_names=["a", "b", "c"])
    keep = transform("KeepLargestCC", fields=["b"])
    masks = scores > np.float32(0.6)
    parts, _ = ndimage.label(masks[1])
    largest = parts == np.argmax(np.bincount(parts.ravel())[1:]) + 1
    merge = transform("MergeMasks", fields=["c", "b", "a"], labels=[5, 0, 300], merged_field="all")
    got = finished([above, split, keep, merge], scores, ["all", "b"])
    want = np.where(masks[2], 5, 0)
    want[largest], want[masks[0]] = 0, 300
    assert got["all"].dtype == np.uint16
    assert_array_equal(got["all"], want)
    assert_array_equal(got["b"], largest)
    # fields of several channels, and a field that becomes the label map of its own
    labels = transform("SplitBasedOnLabel", field="model", label_names=["none", "one"])
    merge = transform("MergeMasks", fields=["none", "one", "model"], labels=[9, 8, 7], merged_field="all")
    assert_array_equal(
        finished([*ARGMAX, labels, merge], LABELS, ["all"])["all"],
        np.where(LABELS > 0, 7, 9),
    )
    apart = transform("MergeMasks", fields=["none", "one"], labels=[4])
    got = finished([*ARGMAX, labels, apart], LABELS, ["none", "one"])
    assert_array_equal(got["none"], np.where(LABELS == 0, 4, 0))
    assert_array_equal(got["one"], np.where(LABELS == 1, 4, 0))
    crop = transform("CropFixedSizeCenter", fields="b", size=3)
    shrink = transform("ScaleToShape", fields="a", target_shape=[3, 3, 3], is_label=True)
    for merge, middle, message in (
        (
            transform("MergeMasks", fields=["a", "b"], labels=[1, 2]),
            [],
            "labels has 2 entries, expected 1: one for each channel of 'a' .to merge 'a', 'b' into",
        ),
        (
            transform("MergeMasks", fields=["a", "b"], labels=[1], merged_field="all"),
            [],
            "labels has 1 entries, expected 2: one for each channel of 'a', 'b'$",
        ),
        (
            transform("MergeMasks", fields=["a", "b"], labels=[1, 2], merged_field="all"),
            [crop],
            r"'b' has the grid \(3, 3, 3\), 'a' has ",
        ),
        (
            transform("MergeMasks", fields=["a", "b"], labels=[1, 2], merged_field="all"),
            [crop, shrink],
            "the grids of 'b' and 'a' are of one size, but changed by different transforms",
        ),
        (transform("MergeMasks", fields="a", labels=[1], merged_field="b"), [], "the field 'b' exists already"),
    ):
        with pytest.raises(ConfigError, match=message):
            finished([above, split, *middle, merge], scores, ["a"])


def check_merge_masks() -> None:
    scores = RNG.random((3, *STORED.shape), dtype=np.float32)
    above = transform("ThresholdAcrossChannels", fields="model", threshold=0.6)
    for labels in ([1, 2, 3], [3, 1, 2], [1, 400, 0]):
        want = np.zeros(STORED.shape, int)
        for mask, label in zip(scores > np.float32(0.6), labels, strict=True):
            want[mask] = label
        got = finished([above, transform("MergeMasks", fields="model", labels=labels)], scores)["model"]
        assert got.dtype == (np.uint16 if 400 in labels else np.uint8)
        assert_array_equal(got, want)
    want = np.zeros(STORED.shape, int)
    for channel, label in ((1, 2), (0, 1), (2, 4)):
        want[scores[channel] > np.float32(0.6)] = label
    ordered = transform("MergeMasks", fields="model", labels=[1, 2, 4], order=[1, 0, 2])
    assert_array_equal(finished([above, ordered], scores)["model"], want)
    with pytest.raises(ValidationError, match="expected the masks 0 to 2, each once"):
        transform("MergeMasks", fields="model", labels=[1, 2, 4], order=[0, 1])
    check_merge_of_fields(scores)
    with pytest.raises(ConfigError, match="MergeMasks: is made for 2 channels, 'model' has 3"):
        finished([above, transform("MergeMasks", fields="model", labels=[1, 2])], scores)


VALUES: dict[str, Callable[[], None]] = {"MergeMasks": check_merge_masks}

REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "MergeMasks": ({"fields": "model", "labels": [70000]}, "expected labels of 0 to 65535"),
}
