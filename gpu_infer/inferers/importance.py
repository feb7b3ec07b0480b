"""Importance maps: the weight of a voxel by its position in the window, float32 [R0, R1, …].

Both maps are a product of one Gaussian per axis, with a lower limit that makes every weight positive. Because of that
limit a map is not separable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

LEAST = 1e-3
"""Least weight of `monai_gaussian`."""

_TRUNCATE = 4.0
"""Standard deviations at which a filtered delta ends (`scipy.ndimage.gaussian_filter`'s default)."""


_BLOCK = 1 << 12
"""Products that are calculated at once: they stay in the nearest cache."""


def monai_gaussian(roi: Sequence[int], sigma_scale: Sequence[float]) -> NDArray[np.float32]:
    """Π exp(−x² / 2σ²) with x from the window's middle and σ = sigma_scale·roi, at least max(its minimum, 1e-3).

    MONAI's `compute_importance_map` in mode gaussian. The middle of an even axis is between two voxels.
    """

    def profile(n: int, sigma: float) -> NDArray[np.float64]:
        x = np.arange(n) - (n - 1) / 2.0
        bell: NDArray[np.float64] = np.exp(-0.5 * (x / sigma) ** 2)
        return bell

    profiles = _profiles(roi, sigma_scale, profile)
    least = float(_product([p.min(keepdims=True) for p in profiles]).item())  # rounding keeps the order of products
    return _rounded_product(profiles, max(least, LEAST))


def nnunet_gaussian(roi: Sequence[int], sigma_scale: Sequence[float]) -> NDArray[np.float32]:
    """A delta at roi // 2 after a Gaussian filter of σ = sigma_scale·roi, scaled to a maximum of 1.

    nnU-Net's `compute_gaussian`: the filter ends at 4 σ, and weights of zero after it become the smallest positive
    weight.
    """

    def profile(n: int, sigma: float) -> NDArray[np.float64]:
        x = np.arange(n) - n // 2
        bell = np.exp(-0.5 * (x / sigma) ** 2)
        return np.where(np.abs(x) <= int(_TRUNCATE * sigma + 0.5), bell, 0.0)

    product = _rounded_product(_profiles(roi, sigma_scale, profile), 0.0)
    is_zero = product == 0
    if is_zero.any():
        product[is_zero] = product[~is_zero].min()
    return product


def _profiles(
    roi: Sequence[int], sigma_scale: Sequence[float], profile: Callable[[int, float], NDArray[np.float64]]
) -> list[NDArray[np.float64]]:
    return [profile(n, scale * n) for n, scale in zip(roi, sigma_scale, strict=True)]


def _product(profiles: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Of one value per axis, [R0, R1, …]."""
    product = np.ones((1,) * len(profiles))
    for factor in np.ix_(*profiles):
        product = product * factor
    return product


def _rounded_product(profiles: Sequence[NDArray[np.float64]], least: float) -> NDArray[np.float32]:
    """float32 of the products, those below `least` raised to it.

    Line by line: float64 of a whole window takes six times as long.
    """
    *lead, last = profiles
    lines = _product(lead).reshape(-1, 1)
    out = np.empty((len(lines), len(last)), np.float32)
    step = max(_BLOCK // len(last), 1)
    for first in range(0, len(lines), step):
        block = lines[first : first + step] * last
        out[first : first + step] = np.maximum(block, least, out=block)
    return out.reshape([len(p) for p in profiles])
