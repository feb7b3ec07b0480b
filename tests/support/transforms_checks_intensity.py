"""Values and refusals of the transforms that look at intensities."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats
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


VALUES: dict[str, Callable[[], None]] = {
    "NormalizeNonzeroIntensities": check_normalize_nonzero,
    "CenterData": check_center_data,
}

REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "NormalizeNonzeroIntensities": ({"fields": ""}, "expected a name or a list of names"),
    "CenterData": ({"fields": "image", "divisor": 0}, "expected a number other than 0"),
}
