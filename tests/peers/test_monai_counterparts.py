"""MONAI's transforms whose counterpart here has another name."""

from __future__ import annotations

from typing import Any

import monai.transforms as mt
import numpy as np
import pytest
import torch
from peers_ours import finished, prepared

CT = np.random.default_rng(5).integers(-1000, 1400, (13, 11, 9)).astype(np.int16)
LABELS = np.random.default_rng(6).integers(0, 5, (13, 11, 9)).astype(np.uint8)


@pytest.mark.parametrize("offset", [-40.0, 1024.5])
def test_shift_intensity(offset: float, equivalence: Any) -> None:
    expected = mt.ShiftIntensity(offset)(torch.from_numpy(CT[None].astype(np.float32)))
    actual = prepared(CT, ("CenterData", {"subtrahend": -offset, "divisor": 1}))
    assert np.array_equal(actual, np.asarray(expected))
    equivalence.record("monai.transforms.ShiftIntensity", "CenterData with divisor 1", tolerance="equal", worst=0.0)


@pytest.mark.parametrize("above", [True, False])
def test_threshold_intensity(above: bool, equivalence: Any) -> None:
    volume = torch.from_numpy(CT[None].astype(np.float32))
    expected = mt.ThresholdIntensity(threshold=-40.0, above=above, cval=-40.0)(volume)
    actual = prepared(CT, ("ClipIntensity", {"minv": -40.0} if above else {"maxv": -40.0}))
    assert np.array_equal(actual, np.asarray(expected))
    equivalence.record(
        "monai.transforms.ThresholdIntensity", "ClipIntensity", tolerance="equal if cval is the threshold", worst=0.0
    )


def test_label_filter_and_label_to_mask(equivalence: Any) -> None:
    labels = torch.from_numpy(LABELS[None])
    for name, expected, targets in (
        ("LabelFilter", mt.LabelFilter([1, 3])(labels), [0, 0]),
        ("LabelToMask", mt.LabelToMask([1, 3])(labels), [0, 0, 1, 1]),
    ):
        args = {"orig_labels": [2, 4, 1, 3][: len(targets)], "target_labels": targets}
        actual = finished(LABELS, [], None, ("RelabelValues", args))
        assert np.array_equal(actual, np.asarray(expected)[0])
        equivalence.record(f"monai.transforms.{name}", "RelabelValues", tolerance="equal", worst=0.0)
