"""The scores of rules of tests/toy_model.py, computed in the process of a test."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def places(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """x [N, C, …] → [N, 3, …], the rule `places`, written out once more."""
    mixed = sum((np.float32(c + 1) * x[:, c] for c in range(x.shape[1])), np.zeros_like(x[:, 0]))
    index = np.indices(x.shape[2:], np.float32)
    ramp = sum((np.float32(slope) * i for slope, i in zip((0.01, -0.02, 0.03), index, strict=False)), np.float32(0))
    scores: NDArray[np.float32] = np.stack([np.full_like(mixed, 0.5), mixed + ramp, 1 - mixed], axis=1)
    return scores
