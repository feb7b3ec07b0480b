"""Values and refusals of the transforms that look at intensities."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from pydantic import ValidationError
from scipy import ndimage, stats
from transforms_oracle import RNG, STORED, load, prepared, scale_range, transform

from gpu_infer.errors import InputError


def check_normalize_nonzero() -> None:
    normalize = transform("NormalizeNonzeroIntensities", fields="image")
    data = np.where(RNG.random((2, *STORED.shape)) < 0.4, 0, RNG.integers(-900, 1500, (2, *STORED.shape))).astype(
        np.int16
    )
    want = np.zeros(data.shape)
    want[data != 0] = stats.zscore(data[data != 0], ddof=0)
    assert_allclose(prepared(load(), normalize, data=data), want, atol=1e-5)
    # one value: only the mean is subtracted; none: nothing changes
    assert_allclose(prepared(load(), normalize, data=np.full_like(STORED, 7)), 0)
    assert_allclose(prepared(load(), normalize, data=np.zeros_like(STORED)), 0)
    with pytest.raises(InputError, match="'image' has voxels that are NaN or infinite"):
        prepared(load(), normalize, data=np.full(STORED.shape, np.nan, np.float32))


def check_center_data() -> None:
    x = STORED.astype(np.float64)
    for args, want in (
        ({"subtrahend": 100, "divisor": -4}, (x - 100) / -4),
        ({}, stats.zscore(x, axis=None, ddof=0)),
        ({"subtrahend": 100}, (x - 100) / x.std()),
        ({"divisor": 4}, (x - x.mean()) / 4),
    ):
        centred = transform("CenterData", fields="image", **args)
        assert_allclose(prepared(load(), centred)[0], want, rtol=1e-5, atol=1e-4, err_msg=str(args))
    clipped = transform("ScaleIntensityRange", fields="image", a_min=-1, a_max=1, b_min=0, b_max=1, clip=True)
    want = scale_range(stats.zscore(x, axis=None, ddof=0), -1, 1, 0, 1, True)
    assert_allclose(prepared(load(), transform("CenterData", fields="image"), clipped)[0], want, atol=1e-5)
    flat = np.full_like(STORED, 7)
    assert_allclose(prepared(load(), transform("CenterData", fields="image"), data=flat), 0)


TWO = np.stack([STORED, STORED[::-1] // 3 + 400])


def zscore(x: np.ndarray) -> np.ndarray:
    return (x - x.mean()) / (x.std() or 1.0)


def check_normalize_intensity() -> None:
    data = np.where(RNG.random(TWO.shape) < 0.3, 0, TWO).astype(np.int16)
    wide = data.astype(np.float64)
    nonzero = np.zeros(data.shape)
    for channel in range(2):
        nonzero[channel][data[channel] != 0] = zscore(wide[channel][data[channel] != 0])
    together = np.zeros(data.shape)
    together[data != 0] = zscore(wide[data != 0])
    for args, want in (
        ({}, zscore(wide)),
        ({"channel_wise": True}, np.stack([zscore(channel) for channel in wide])),
        ({"nonzero": True}, together),
        ({"nonzero": True, "channel_wise": "true"}, nonzero),
    ):
        normalize = transform("NormalizeIntensity", fields="image", **args)
        assert_allclose(prepared(load(), normalize, data=data), want, atol=1e-5, err_msg=str(args))
    normalize = transform("NormalizeIntensity", fields="image", channel_wise=True)
    flat = np.stack([np.full_like(STORED, 7), STORED])
    assert_allclose(prepared(load(), normalize, data=flat)[0], 0)
    with pytest.raises(InputError, match="'image' has voxels that are NaN or infinite"):
        prepared(load(), normalize, data=np.full(STORED.shape, np.nan, np.float32))


def check_scale_intensity_measured() -> None:
    def scaled(x: np.ndarray, low: float, high: float) -> np.ndarray:
        return (x - x.min()) / (x.max() - x.min()) * (high - low) + low

    wide = TWO.astype(np.float64)
    for args, low, high in (({}, 0, 1), ({"minv": -1, "maxv": 3}, -1, 3), ({"minv": 1, "maxv": 0}, 1, 0)):
        got = prepared(load(), transform("ScaleIntensity", fields="image", **args), data=TWO)
        assert_allclose(got, scaled(wide, low, high), atol=1e-6)
        assert (got.min(), got.max()) == (min(low, high), max(low, high))
        each = transform("ScaleIntensity", fields="image", channel_wise=True, **args)
        want = np.stack([scaled(channel, low, high) for channel in wide])
        assert_allclose(prepared(load(), each, data=TWO), want, atol=1e-6)
    flat = transform("ScaleIntensity", fields="image", minv=0.25)
    assert_allclose(prepared(load(), flat, data=np.full_like(STORED, 7)), 0.25)
    for wrong in (np.nan, np.inf):
        data = STORED.astype(np.float32)
        data[1, 2, 3] = wrong
        with pytest.raises(InputError, match="ScaleIntensity: 'image' has voxels that are NaN or infinite"):
            prepared(load(), flat, data=data)


def check_clip_intensity() -> None:
    for args in ({"minv": -100}, {"maxv": 240.5}, {"minv": -100, "maxv": 240.5}):
        clip = transform("ClipIntensity", fields="image", **args)
        want = np.clip(STORED.astype(np.float32), args.get("minv"), args.get("maxv"))
        assert_allclose(prepared(load(), clip)[0], want, atol=0)
    with pytest.raises(ValidationError, match="expected minv, maxv or both"):
        transform("ClipIntensity", fields="image")


def filled(mask: np.ndarray) -> np.ndarray:
    return np.stack([ndimage.binary_fill_holes(channel) for channel in mask])


def check_masks_of_normalize_intensity() -> None:
    shape = (2, 12, 11, 10)
    data = np.zeros(shape, np.int16)
    data[0, 2:9, 1:8, 2:8] = RNG.integers(50, 900, (7, 7, 6))
    data[1, 3:10, 2:9, 1:9] = RNG.integers(-300, 0, (7, 7, 8))
    data[0, 4:6, 3:5, 4:6] = data[1, 5:7, 4:6, 3:5] = data[1, 9, 8, 8] = data[:, 0, 0, 0] = 0  # holes, and no hole
    wide = data.astype(np.float64)
    own = filled(data != 0)
    union = np.broadcast_to(filled((data != 0).any(axis=0, keepdims=True)), shape)
    assert (own & (data == 0)).any()
    assert (union & ~own).any()

    def within(mask: np.ndarray, each: bool) -> np.ndarray:
        want = np.zeros(shape)
        for part in ([0], [1]) if each else ([0, 1],):
            want[part] = np.where(
                mask[part], (wide[part] - wide[part][mask[part]].mean()) / wide[part][mask[part]].std(), 0
            )
        return want

    for args, want in (
        ({"nonzero": True, "fill_holes": True}, within(own, False)),
        ({"nonzero": True, "fill_holes": True, "channel_wise": True}, within(own, True)),
        ({"use_mask_for_norm": True}, within(union, True)),
    ):
        normalize = transform("NormalizeIntensity", fields="image", **args)
        assert_allclose(prepared(load(), normalize, data=data), want, atol=1e-5, err_msg=str(args))
        assert_allclose(prepared(load(), normalize, data=np.zeros_like(STORED)), 0)
    for args, message in (
        ({"fill_holes": True}, 'set "nonzero": true'),
        ({"use_mask_for_norm": True, "nonzero": True}, "has a mask of its own"),
    ):
        with pytest.raises(ValidationError, match=message):
            transform("NormalizeIntensity", fields="image", **args)


def check_both_kinds_of_normalize_intensity() -> None:
    check_normalize_intensity()
    check_masks_of_normalize_intensity()


def check_scale_percentiles() -> None:
    wide = TWO.astype(np.float64)
    for args in (
        {"lower": 1, "upper": 99, "b_min": 0, "b_max": 1},
        {"lower": 0.5, "upper": 62.5, "b_min": -1, "b_max": 3, "clip": True},
        {"lower": 10, "upper": 90, "b_min": 2, "b_max": 0, "clip": True, "relative": True},
    ):
        for channel_wise in (False, True):
            got = prepared(
                load(),
                transform("ScaleIntensityRangePercentiles", fields="image", channel_wise=channel_wise, **args),
                data=TWO,
            )
            want = []
            for part in ([wide[0]], [wide[1]]) if channel_wise else ([wide[0], wide[1]],):
                low, high = np.percentile(part, (args["lower"], args["upper"]))
                ends = [args["b_min"], args["b_max"]]
                if args.get("relative"):
                    ends = [args["b_min"] + (args["b_max"] - args["b_min"]) * args[k] / 100 for k in ("lower", "upper")]
                want += [scale_range(p, low, high, ends[0], ends[1], bool(args.get("clip"))) for p in part]
            assert_allclose(got, np.stack(want), atol=1e-5, err_msg=str(args))
    args = {"lower": 1, "upper": 99, "b_min": 0.5, "b_max": 1, "clip": True}
    scale = transform("ScaleIntensityRangePercentiles", fields="image", **args)
    data = np.full_like(STORED, 7)
    data[0, 0, 0] = 9  # both percentiles are 7
    assert_allclose(prepared(load(), scale, data=data)[0], data - 7 + 0.5)
    with pytest.raises(InputError, match=r"voxels that are NaN or infinite, .* the percentiles of"):
        prepared(load(), scale, data=np.full(STORED.shape, np.inf, np.float32))
    with pytest.raises(ValidationError, match="expected a number of 0 to 100"):
        transform("ScaleIntensityRangePercentiles", fields="image", **{**args, "upper": 101})


def check_clip_percentiles() -> None:
    wide = TWO.astype(np.float64)
    for lower, upper in ((5, 95), (None, 80.5), (20, None), (50, 50)):
        args = {"lower": lower, "upper": upper}
        limits = (0 if lower is None else lower, 100 if upper is None else upper)
        for channel_wise, want in (
            (False, np.clip(wide, *np.percentile(wide, limits))),
            (True, np.stack([np.clip(channel, *np.percentile(channel, limits)) for channel in wide])),
        ):
            clip = transform("ClipIntensityPercentiles", fields="image", channel_wise=channel_wise, **args)
            assert_allclose(prepared(load(), clip, data=TWO), want, rtol=1e-6, err_msg=str(args))
    for args, message in (
        ({}, "expected lower, upper or both"),
        ({"lower": 3, "upper": 2}, "expected upper of at least lower"),
    ):
        with pytest.raises(ValidationError, match=message):
            transform("ClipIntensityPercentiles", fields="image", **args)


def check_normalize_as_nnunet() -> None:
    data = np.abs(np.concatenate([TWO, TWO, TWO[:1]])).astype(np.float32)
    data[:, :2], data[:, 5, 3, 2], data[1, 4, 4, 1] = 0, 0, 0  # outside, a hole, and a voxel that other channels have
    mask = ndimage.binary_fill_holes((data != 0).any(axis=0))
    inside = np.where(mask, (data[1] - data[1][mask].mean()) / data[1][mask].std(), 0)
    want = [
        (np.clip(data[0], 20, 700) - 300) / 150,
        inside,
        zscore(data[2]),
        (data[3] - data[3].min()) / np.ptp(data[3]),
        data[4] / 255,
    ]
    schemes = ["ct", "masked_zscore", "zscore", "rescale", "rgb"]
    normalize = transform("NormalizeAsNnunet", fields="image", schemes=schemes, foreground=[[20, 700, 300, 150]])
    assert_allclose(prepared(load(), normalize, data=data), want, atol=2e-5)
    for args in ({"schemes": ["ct"]}, {"schemes": ["zscore"], "foreground": [[0, 1, 2, 3]]}):
        with pytest.raises(ValidationError, match='"foreground" has numbers for each channel of the scheme "ct"'):
            transform("NormalizeAsNnunet", fields="image", **args)
    plain = transform("NormalizeAsNnunet", fields="image", schemes=["none", "zscore"])
    assert_allclose(prepared(load(), plain, data=TWO), [TWO[0], zscore(TWO[1].astype(float))], atol=1e-5)


VALUES: dict[str, Callable[[], None]] = {
    "NormalizeAsNnunet": check_normalize_as_nnunet,
    "NormalizeNonzeroIntensities": check_normalize_nonzero,
    "CenterData": check_center_data,
    "NormalizeIntensity": check_both_kinds_of_normalize_intensity,
    "ScaleIntensityRangePercentiles": check_scale_percentiles,
    "ClipIntensityPercentiles": check_clip_percentiles,
    "ScaleIntensity": check_scale_intensity_measured,
    "ClipIntensity": check_clip_intensity,
}

REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "NormalizeAsNnunet": (
        {"fields": "image", "schemes": ["ct"], "foreground": [[5, 1, 0, 1]]},
        "expected low, high, mean and deviation of a channel, low below high and the deviation above 0",
    ),
    "NormalizeNonzeroIntensities": ({"fields": ""}, "expected a name or a list of names"),
    "CenterData": ({"fields": "image", "divisor": 0}, "expected a number other than 0"),
    "NormalizeIntensity": ({"fields": "image", "nonzero": 1}, "expected true or false"),
    "ScaleIntensity": ({"fields": "image", "minv": "low"}, "expected a finite number"),
    "ScaleIntensityRangePercentiles": (
        {"fields": "image", "lower": 9, "upper": 9, "b_min": 0, "b_max": 1},
        "expected upper above lower",
    ),
    "ClipIntensityPercentiles": (
        {"fields": "image", "lower": 3, "sharpness_factor": 10},
        '"sharpness_factor" (soft clipping) is not supported',
    ),
    "ClipIntensity": ({"fields": "image", "minv": 3, "maxv": 3}, "expected a number above minv"),
}
