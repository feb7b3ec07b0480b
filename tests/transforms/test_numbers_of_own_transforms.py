"""Intensities of an array that a custom transform returned: it can hold integers or float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cudasim.simulated import simulated_cupy
from transforms_oracle import BACKEND, blank_field, transform

MEASURED: list[tuple[str, dict[str, Any]]] = [
    ("ScaleIntensity", {"minv": -1}),
    ("ScaleIntensityRangePercentiles", {"lower": 3, "upper": 90, "b_min": 0, "b_max": 1}),
    ("ClipIntensityPercentiles", {"lower": 10.5, "upper": 71.3, "channel_wise": True}),
    ("NormalizeIntensity", {"channel_wise": True}),
    ("NormalizeIntensity", {"nonzero": True}),
    ("NormalizeIntensity", {"nonzero": True, "fill_holes": True}),
    ("NormalizeIntensity", {"use_mask_for_norm": True}),
    ("NormalizeNonzeroIntensities", {}),
    ("NormalizeAsNnunet", {"schemes": ["ct", "rescale"], "foreground": [[5, 80, 40, 11], None]}),
    ("NormalizeAsNnunet", {"schemes": ["masked_zscore", "zscore"]}),
    ("HistogramNormalize", {"num_bins": 30}),
    ("GaussianSmooth", {}),
    ("MedianSmooth", {}),
]
DATA = np.random.default_rng(5).integers(0, 100, (2, 5, 6, 4)) * (np.random.default_rng(6).random((2, 5, 6, 4)) > 0.3)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float64"])
@pytest.mark.parametrize(("name", "arguments"), MEASURED, ids=lambda value: str(value))
def test_all_numbers_give_the_values_of_float32(name: str, arguments: dict[str, Any], dtype: str) -> None:
    measured, shape = transform(name, fields="image", **arguments), DATA.shape[1:]
    stored = blank_field(shape, channels=2, dtype=np.dtype(dtype))
    numbers = blank_field(shape, channels=2)
    values = measured.apply(DATA.astype(dtype), stored.copy(), BACKEND)
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, measured.apply(DATA.astype(np.float32), numbers, BACKEND))
    assert measured.scratch_bytes(stored) - measured.scratch_bytes(numbers) == 4 * DATA.size, "a copy is planned"
    measured.trace(stored)
    assert stored.dtype == np.float32


@pytest.mark.parametrize(("name", "arguments"), MEASURED[:10], ids=lambda value: str(value))
def test_a_gpu_computes_the_same(name: str, arguments: dict[str, Any]) -> None:
    measured = transform(name, fields="image", **arguments)
    field, stored = blank_field(DATA.shape[1:], channels=2, dtype=np.dtype(np.int16)), DATA.astype(np.int16)
    with simulated_cupy() as module:
        gpu = module.GpuBackend()
        values = gpu.download(measured.apply(gpu.upload(stored), field.copy(), gpu))
    np.testing.assert_array_equal(values, measured.apply(stored, field, BACKEND))


@pytest.mark.parametrize("dtype", [">i2", ">f4", "<f8"])
def test_a_pad_takes_both_byte_orders(dtype: str) -> None:
    pad = transform("SymmetricPadderDiv", fields="image", div_int=4)
    padded = pad.apply(DATA.astype(dtype), blank_field(DATA.shape[1:], channels=2, dtype=np.dtype(dtype)), BACKEND)
    np.testing.assert_array_equal(padded, np.pad(DATA, [(0, 0), (1, 2), (1, 1), (0, 0)]))
