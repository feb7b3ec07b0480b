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


def monai_gaussian(roi: Sequence[int], sigma_scale: Sequence[float]) -> NDArray[np.float32]:
    """Π exp(−x² / 2σ²) with x from the window's middle and σ = sigma_scale·roi, at least max(its minimum, 1e-3).

    MONAI's `compute_importance_map` in mode gaussian. The middle of an even axis is between two voxels.
    """

    def profile(n: int, sigma: float) -> NDArray[np.float64]:
        x = np.arange(n) - (n - 1) / 2.0
        bell: NDArray[np.float64] = np.exp(-0.5 * (x / sigma) ** 2)
        return bell

    product = _product(roi, sigma_scale, profile)
    return np.maximum(product, max(float(product.min()), LEAST)).astype(np.float32)


def nnunet_gaussian(roi: Sequence[int], sigma_scale: Sequence[float]) -> NDArray[np.float32]:
    """A delta at roi // 2 after a Gaussian filter of σ = sigma_scale·roi, scaled to a maximum of 1.

    nnU-Net's `compute_gaussian`: the filter ends at 4 σ, and weights of zero after it become the smallest positive
    weight.
    """

    def profile(n: int, sigma: float) -> NDArray[np.float64]:
        x = np.arange(n) - n // 2
        bell = np.exp(-0.5 * (x / sigma) ** 2)
        return np.where(np.abs(x) <= int(_TRUNCATE * sigma + 0.5), bell, 0.0)

    product = _product(roi, sigma_scale, profile).astype(np.float32)
    product[product == 0] = product[product > 0].min()
    return product


def _product(
    roi: Sequence[int], sigma_scale: Sequence[float], profile: Callable[[int, float], NDArray[np.float64]]
) -> NDArray[np.float64]:
    product = np.ones((1,) * len(roi))
    for axis, (n, scale) in enumerate(zip(roi, sigma_scale, strict=True)):
        shape = [1] * len(roi)
        shape[axis] = n
        product = product * profile(n, scale * n).reshape(shape)
    return product
