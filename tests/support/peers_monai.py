"""Volumes for MONAI's transforms, and the difference between its values and ours."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor

RNG_SEED = 7


def ct(shape: tuple[int, ...] = (17, 14, 11), seed: int = RNG_SEED) -> np.ndarray:
    return np.random.default_rng(seed).integers(-1200, 1500, shape).astype(np.int16)


def tensor(data: np.ndarray, affine: np.ndarray | None = None) -> MetaTensor:
    """What MONAI's loader makes of the voxels: float32 [C, I, J, K]."""
    data = data if data.ndim == 4 else data[None]
    return MetaTensor(torch.from_numpy(data.astype(np.float32)), affine=np.eye(4) if affine is None else affine)


def worst(actual: np.ndarray, expected: Any, tolerance: float) -> float:
    reference = np.asarray(expected)
    assert actual.shape == reference.shape
    difference = float(np.abs(actual.astype(np.float64) - reference).max())
    assert difference <= tolerance
    return difference
