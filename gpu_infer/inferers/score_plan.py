"""Which probabilities a run writes, and how they are made of the model's scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import DTypeLike

from gpu_infer.choices import ScoresActivation
from gpu_infer.inferers.windows import WindowGrid

TOLERANCE = 1e-3
"""Distance from 0 … 1, and of a sum from 1, up to which scores are probabilities: float16 outputs of many classes."""

_SCRATCH_BYTES = 32 << 20
"""Scores that are turned into probabilities at a time, but at least one plane of the rolling sums."""


@dataclass(frozen=True)
class ScorePlan:
    """The maps of a run.

    labels       whose probabilities are written, in order
    channels     of the model, one per label
    background   per label: whether it is the label of voxels outside the model's grid. Such a map is held as 1 − p, so
                 that these voxels are 0 in every map
    uncertainty  the entropy is written too
    activation   what makes probabilities of the scores
    exclusive    one of the classes is true; False: each channel is true or not
    check        what is counted as improbable: scores outside 0 … 1 ("range"), sums that differ from 1 as well ("sum")
    """

    labels: tuple[int, ...]
    channels: tuple[int, ...]
    background: tuple[bool, ...]
    uncertainty: bool
    activation: ScoresActivation
    exclusive: bool
    check: Literal["range", "sum"] | None

    @property
    def maps(self) -> int:
        """Number of the maps, the uncertainty's included, which is the last."""
        return len(self.labels) + self.uncertainty

    def nbytes(self, grid: WindowGrid, dtype: DTypeLike) -> int:
        """Bytes of the maps on the model's grid."""
        x, y, z = grid.shape
        return self.maps * x * y * z * np.dtype(dtype).itemsize


def scratch_shape(grid: WindowGrid, channels: int) -> tuple[int, int, int, int]:
    """[K, X, Y, Z] of the float32 scores that are worked on at a time.

    They are some planes along X, the slowest axis in memory, of what is finalized at once: lines along Z stay whole.
    """
    x, y, z = grid.rolling_shape
    return (channels, min(x, max(1, _SCRATCH_BYTES // (channels * y * z * 4))), y, z)
