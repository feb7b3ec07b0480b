"""Digits of intensity transforms, against NumPy in float64: values far from 0 and near each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from transforms_oracle import load, prepared, transform, zoom

OFFSETS = [0.0, 1e3, 1000.0001, 4e4, 1e6]
SPREADS = [1e-3, 1.0, 1e3]

ULP = 2.0**-23
"""Of float32 at 1."""


def stored(offset: float, spread: float) -> np.ndarray:
    return (offset + spread * np.random.default_rng(3).standard_normal((9, 7, 5))).astype(np.float32)


def zscore(x: np.ndarray) -> np.ndarray:
    return (x - x.mean()) / (x.std() or 1.0)


def scaled(x: np.ndarray, low: float, high: float, first: float, last: float) -> np.ndarray:
    return (x - low) / ((high - low) or 1.0) * (last - first) + first


def range_of(x: np.ndarray) -> dict[str, float]:
    low, high = float(x.min()), float(x.max())
    return {"a_min": low, "a_max": high if high > low else low + 1.0}


def percentiles(x: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(x, (5, 95))
    return float(low), float(high) if high > low else float(low) + 1.0


CASES: dict[str, Any] = {
    "NormalizeIntensity": (lambda x: {}, zscore),
    "NormalizeIntensity nonzero": (lambda x: {"nonzero": True}, zscore),
    "NormalizeIntensity use_mask_for_norm": (lambda x: {"use_mask_for_norm": True}, zscore),
    "NormalizeNonzeroIntensities": (lambda x: {}, zscore),
    "CenterData": (lambda x: {}, zscore),
    "CenterData by numbers": (
        lambda x: {"subtrahend": float(x.mean()), "divisor": float(x.std()) or 1.0},
        zscore,
    ),
    "ScaleIntensity": (lambda x: {"minv": -1.0, "maxv": 1.0}, lambda x: scaled(x, x.min(), x.max(), -1.0, 1.0)),
    "ScaleIntensityRange": (
        lambda x: {**range_of(x), "b_min": -1.0, "b_max": 1.0, "clip": True},
        lambda x: np.clip(scaled(x, *range_of(x).values(), -1.0, 1.0), -1.0, 1.0),
    ),
    "ScaleIntensityRangePercentiles": (
        lambda x: {"lower": 5, "upper": 95, "b_min": 0.0, "b_max": 1.0},
        lambda x: scaled(x, *percentiles(x), 0.0, 1.0),
    ),
    "NormalizeAsNnunet ct": (
        lambda x: {
            "schemes": ["ct"],
            "foreground": [[*percentiles(x), float(x.mean()), float(x.std()) or 1.0]],
        },
        lambda x: (np.clip(x, *percentiles(x)) - x.mean()) / (x.std() or 1.0),
    ),
    "NormalizeAsNnunet zscore": (lambda x: {"schemes": ["zscore"]}, zscore),
    "NormalizeAsNnunet masked_zscore": (lambda x: {"schemes": ["masked_zscore"]}, zscore),
    "NormalizeAsNnunet rescale": (lambda x: {"schemes": ["rescale"]}, lambda x: scaled(x, x.min(), x.max(), 0.0, 1.0)),
}


@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("name", CASES)
def test_digits_of(name: str, offset: float, spread: float) -> None:
    arguments, oracle = CASES[name]
    data = stored(offset, spread)
    wide = data.astype(np.float64)[None]
    got = prepared(load(), transform(name.split()[0], fields="image", **arguments(wide)), data=data)
    np.testing.assert_allclose(got, oracle(wide), rtol=2.5 * ULP, atol=ULP)


@pytest.mark.parametrize("inter", [-1024.0, 1e3, 4e4, 1e6])
def test_slope_and_intercept_are_part_of_the_function(inter: float) -> None:
    """A range of a thousandth of the intercept: the values in physical units are never rounded."""
    data = np.random.default_rng(5).integers(-3000, 3000, (9, 7, 5)).astype(np.int16)
    wide = data.astype(np.float64)[None] * 1e-4 + inter
    arguments = {"a_min": inter - 0.2, "a_max": inter + 0.2, "b_min": 0.0, "b_max": 1.0}
    scale = transform("ScaleIntensityRange", fields="image", **arguments)
    got = prepared(load(), scale, data=data, slope=1e-4, inter=inter)
    # a_min itself is a float64 number: the rest of its last digit is the range's, not the arithmetic's
    np.testing.assert_allclose(got, scaled(wide, *arguments.values()), rtol=2.5 * ULP, atol=1e-9)


def test_two_ranges_after_each_other_are_one_function() -> None:
    data = stored(4e4, 100.0)
    chain = [
        transform("ScaleIntensityRange", fields="image", a_min=39000, a_max=41000, b_min=2000, b_max=4000, clip=True),
        transform("ScaleIntensityRange", fields="image", a_min=2900, a_max=3100, b_min=0, b_max=1),
    ]
    wide = np.clip(data.astype(np.float64)[None] - 37000, 2000, 4000)
    got = prepared(load(), *chain, data=data)
    np.testing.assert_allclose(got, (wide - 2900) / 200, rtol=2.5 * ULP, atol=ULP)


def test_interpolated_values_are_rounded_before_the_function() -> None:
    """Sums of neighbours are float32 numbers of the size of the offset; a function before the resampling sees none."""
    data = stored(4e4, 100.0)
    resize = transform("ScaleToShape", fields="image", target_shape=[13, 9, 8], align_corners=True)
    scale = transform("ScaleIntensityRange", fields="image", a_min=4e4, a_max=40100, b_min=0, b_max=1)
    want = (zoom(data[None], (13, 9, 8)) - 4e4) / 100
    rounding = float(np.spacing(np.float32(4e4))) / 100
    assert np.abs(prepared(load(), resize, scale, data=data) - want).max() < 3 * rounding
    assert np.abs(prepared(load(), scale, resize, data=data) - want).max() < 16 * ULP
