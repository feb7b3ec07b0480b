"""Our transforms of intensities and scores against MONAI's if both mean the same."""

from __future__ import annotations

from typing import Any

import monai.transforms as mt
import numpy as np
import pytest
from peers_monai import ct, tensor, worst
from peers_ours import BACKEND, prepared

from gpu_infer.backends.base.backend import RollingSums
from gpu_infer.inferers.accumulator import MaskFinalizer, ScoreFinalizer
from gpu_infer.inferers.windows import make_grid
from gpu_infer.transforms.labels.sigmoid import Sigmoid
from gpu_infer.transforms.labels.softmax import Softmax
from gpu_infer.transforms.labels.threshold_across_channels import ThresholdAcrossChannels


@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize("window", [(-1500, 500, 0, 1), (-160, 240, -1, 1), (100, 900, 1, 0)])
def test_scale_intensity_range(window: Any, clip: bool, equivalence: Any) -> None:
    a_min, a_max, b_min, b_max = window
    data = ct()
    arguments = {"a_min": a_min, "a_max": a_max, "b_min": b_min, "b_max": b_max, "clip": clip}
    expected = mt.ScaleIntensityRange(**arguments)(tensor(data)).numpy()
    if clip and b_min > b_max:  # MONAI clips to an empty range there
        expected = np.clip(mt.ScaleIntensityRange(**(arguments | {"clip": False}))(tensor(data)).numpy(), b_max, b_min)
    equivalence.record(
        "monai.transforms.ScaleIntensityRange",
        "ScaleIntensityRange",
        tolerance="1e-5",
        worst=worst(prepared(data, ("ScaleIntensityRange", arguments)), expected, 1e-5),
        differs="With clip and b_min > b_max, gpu_infer clips to the range between them; MONAI's clip gives b_max "
        "everywhere.",
    )


def test_normalize_nonzero(equivalence: Any) -> None:
    data = ct()
    data[data < 0] = 0
    expected = mt.NormalizeIntensity(nonzero=True)(tensor(data))
    equivalence.record(
        "monai.transforms.NormalizeIntensity(nonzero=True)",
        "NormalizeNonzeroIntensities",
        tolerance="1e-5",
        worst=worst(prepared(data, ("NormalizeNonzeroIntensities", {})), expected, 1e-5),
    )


@pytest.mark.parametrize("channel_wise", [True, False])
@pytest.mark.parametrize("nonzero", [True, False])
def test_normalize_intensity(nonzero: bool, channel_wise: bool, equivalence: Any) -> None:
    data = np.stack([ct(), ct(seed=2) // 3 + 200])
    data[data < 0] = 0
    args = {"nonzero": nonzero, "channel_wise": channel_wise}
    equivalence.record(
        "monai.transforms.NormalizeIntensity(nonzero, channel_wise)",
        "NormalizeIntensity",
        tolerance="1e-5",
        worst=worst(prepared(data, ("NormalizeIntensity", args)), mt.NormalizeIntensity(**args)(tensor(data)), 1e-5),
    )


@pytest.mark.parametrize("channel_wise", [True, False])
@pytest.mark.parametrize("limits", [(0.0, 1.0), (-1.0, 2.5)])
def test_scale_intensity(limits: Any, channel_wise: bool, equivalence: Any) -> None:
    data = np.stack([ct(), ct(seed=2) // 3 + 200])
    args = {"minv": limits[0], "maxv": limits[1], "channel_wise": channel_wise}
    equivalence.record(
        "monai.transforms.ScaleIntensity",
        "ScaleIntensity",
        tolerance="1e-5",
        worst=worst(prepared(data, ("ScaleIntensity", args)), mt.ScaleIntensity(**args)(tensor(data)), 1e-5),
        differs="Voxels that are all equal become minv; MONAI multiplies them by it.",
    )


@pytest.mark.parametrize("given", [{"subtrahend": 120.0, "divisor": 350.0}, {}])
def test_center_data(given: Any, equivalence: Any) -> None:
    data = ct()
    expected = mt.NormalizeIntensity(**given)(tensor(data))
    equivalence.record(
        "monai.transforms.NormalizeIntensity(subtrahend, divisor)",
        "CenterData",
        tolerance="1e-5",
        worst=worst(prepared(data, ("CenterData", given)), expected, 1e-5),
    )


@pytest.mark.parametrize("threshold", [0.0, 40.5, -300.0])
def test_threshold(threshold: float, equivalence: Any) -> None:
    data = ct()
    expected = mt.AsDiscrete(threshold=threshold)(tensor(data)).numpy()
    expected[data[None] == threshold] = 0
    actual = prepared(data, ("ThresholdValues", {"threshold": threshold}))
    assert np.array_equal(actual, expected)
    equivalence.record(
        "monai.transforms.AsDiscrete(threshold)",
        "ThresholdValues, ThresholdAcrossChannels",
        tolerance="equal",
        worst=0.0,
        differs="gpu_infer gives 1 above the threshold (the Clara operator's rule), MONAI at or above it.",
    )


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.05])
def test_threshold_of_a_sigmoid(threshold: float, equivalence: Any) -> None:
    logits = np.random.default_rng(3).normal(scale=4, size=(3, 17, 14, 11)).astype(np.float32)
    sigmoid = mt.Activations(sigmoid=True)(tensor(logits))
    expected = mt.AsDiscrete(threshold=threshold)(sigmoid).numpy()
    shape = (17, 14, 11)
    above = ThresholdAcrossChannels(fields="model", threshold=[threshold] * 3, sigmoid=True)
    finalizer = MaskFinalizer(BACKEND, make_grid(shape, shape), above.thresholds)
    finalizer.finalize(RollingSums(logits.copy(), shape), (0, 0, 0), shape)
    # MONAI's sigmoid is rounded to float32, so that neighbours of the threshold fall onto it
    sure = np.abs(sigmoid.numpy() - threshold) > 1e-7
    assert np.array_equal(finalizer.result[sure], expected[sure])
    assert sure.mean() > 0.999
    equivalence.record(
        "monai.transforms.Activations(sigmoid), then AsDiscrete(threshold)",
        "ThresholdValues, ThresholdAcrossChannels (sigmoid)",
        tolerance="equal if the sigmoid is more than 1e-7 from the threshold",
        worst=0.0,
        differs="gpu_infer compares logits, so that no sigmoid is rounded.",
    )


@pytest.mark.parametrize("name", ["Softmax", "Sigmoid"])
def test_activations(name: str, equivalence: Any) -> None:
    logits = np.random.default_rng(3).normal(scale=4, size=(3, 17, 14, 11)).astype(np.float32)
    expected = mt.Activations(**{name.lower(): True})(tensor(logits))
    activation = {"Softmax": Softmax, "Sigmoid": Sigmoid}[name].activation
    shape = (17, 14, 11)
    finalizer = ScoreFinalizer(BACKEND, make_grid(shape, shape), 3, activation)
    finalizer.finalize(RollingSums(logits.copy(), shape), (0, 0, 0), shape)
    equivalence.record(
        "monai.transforms.Activations(softmax, sigmoid)",
        "Softmax, Sigmoid",
        tolerance="1e-6",
        worst=worst(finalizer.result, expected, 1e-6),
    )
