"""Our transforms by percentiles and by masks against those of MONAI and nnU-Net."""

from __future__ import annotations

from typing import Any

import monai.transforms as mt
import numpy as np
import pytest
import torch
from nnunetv2.preprocessing.cropping.cropping import create_nonzero_mask, crop_to_nonzero
from nnunetv2.preprocessing.normalization.default_normalization_schemes import ZScoreNormalization
from numpy.typing import NDArray
from peers_ours import prepared

TOLERANCE = 1e-5


def image(shape: tuple[int, ...] = (2, 30, 27, 21), seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(40, 300, shape).round().astype(np.float32)


def brain(seed: int) -> NDArray[np.float32]:
    """Two channels that are 0 outside of boxes, with zeros inside too."""
    rng = np.random.default_rng(seed)
    data = np.zeros((2, 26, 22, 19), np.float32)
    data[0, 3:20, 4:18, 2:15] = rng.normal(200, 90, (17, 14, 13)).round()
    data[1, 5:23, 3:16, 4:17] = rng.normal(-50, 60, (18, 13, 13)).round()
    data[:, 9:13, 8:11, 7:12] = 0
    data[0, 3:6, 4:18, 2:15] *= rng.random((3, 14, 13)) < 0.5
    return data


@pytest.mark.parametrize("channel_wise", [False, True])
@pytest.mark.parametrize(
    "args",
    [
        {"lower": 0.5, "upper": 99.5, "b_min": 0, "b_max": 1},
        {"lower": 5, "upper": 70, "b_min": -1, "b_max": 1, "clip": True},
        {"lower": 10, "upper": 90, "b_min": 0, "b_max": 2, "clip": True, "relative": True},
    ],
)
def test_scale_intensity_range_percentiles(args: dict[str, Any], channel_wise: bool, equivalence: Any) -> None:
    data = image()
    expected = mt.ScaleIntensityRangePercentiles(**args, channel_wise=channel_wise)(torch.from_numpy(data)).numpy()
    actual = prepared(data, ("ScaleIntensityRangePercentiles", args | {"channel_wise": channel_wise}))
    worst = float(np.abs(actual - expected).max())
    assert worst < TOLERANCE
    equivalence.record(
        "monai.transforms.ScaleIntensityRangePercentiles",
        "ScaleIntensityRangePercentiles",
        tolerance="1e-5",
        worst=worst,
        differs="Percentiles are computed in float64 (MONAI: in float32 for up to a million voxels); upper must be "
        "above lower, and b_min and b_max are required.",
    )


@pytest.mark.parametrize("channel_wise", [False, True])
@pytest.mark.parametrize(("lower", "upper"), [(2, 98), (None, 75), (12.5, None)])
def test_clip_intensity_percentiles(lower: Any, upper: Any, channel_wise: bool, equivalence: Any) -> None:
    data = image(seed=1)
    expected = mt.ClipIntensityPercentiles(lower, upper, channel_wise=channel_wise)(torch.from_numpy(data)).numpy()
    args = {"lower": lower, "upper": upper, "channel_wise": channel_wise}
    actual = prepared(data, ("ClipIntensityPercentiles", args))
    worst = float(np.abs(actual - expected).max())
    assert worst < 1e-3
    equivalence.record(
        "monai.transforms.ClipIntensityPercentiles",
        "ClipIntensityPercentiles",
        tolerance="1e-3 on values up to 1300",
        worst=worst,
        differs="Soft clipping (sharpness_factor) is refused.",
    )


@pytest.mark.parametrize("seed", range(4))
def test_zscore_inside_the_mask(seed: int, equivalence: Any) -> None:
    """nnU-Net crops first and normalises each channel of the crop."""
    data = brain(seed)
    cropped, seg, _ = crop_to_nonzero(data.copy())
    assert (create_nonzero_mask(data) & (data == 0).all(axis=0)).any()
    scheme = ZScoreNormalization(True, {}, np.float32)
    expected = np.stack([scheme.run(channel.copy(), seg[0]) for channel in cropped])
    actual = prepared(
        data, ("CropForegroundObject", {"nonzero": True}), ("NormalizeIntensity", {"use_mask_for_norm": True})
    )
    assert actual.shape == expected.shape
    worst = float(np.abs(actual - expected).max())
    assert worst < TOLERANCE
    equivalence.record(
        "nnunetv2 ZScoreNormalization(use_mask_for_norm=True)",
        "NormalizeIntensity (use_mask_for_norm)",
        tolerance="1e-5",
        worst=worst,
        differs="A deviation of 0 counts as 1 (nnU-Net: 1e-8).",
    )


@pytest.mark.parametrize("seed", range(4))
def test_crop_to_nonzero(seed: int, equivalence: Any) -> None:
    data = brain(seed)
    expected, _, _ = crop_to_nonzero(data.copy())
    assert np.array_equal(prepared(data, ("CropForegroundObject", {"nonzero": True})), expected)
    equivalence.record(
        "nnunetv2 crop_to_nonzero",
        "CropForegroundObject (nonzero)",
        tolerance="equal",
        worst=0.0,
        differs="If every voxel is 0, nothing is cropped, with a warning.",
    )


@pytest.mark.parametrize("channels", [[0], [1], [1, 0]])
def test_crop_around_some_channels(channels: list[int], equivalence: Any) -> None:
    data = brain(5)
    expected = mt.CropForeground(channel_indices=channels, allow_smaller=True)(torch.from_numpy(data)).numpy()
    assert np.array_equal(prepared(data, ("CropForegroundObject", {"channel_indices": channels})), expected)
    equivalence.record(
        "monai.transforms.CropForeground(channel_indices)",
        "CropForegroundObject (channel_indices)",
        tolerance="equal",
        worst=0.0,
        differs="Indices count from 0; negative ones are refused.",
    )
