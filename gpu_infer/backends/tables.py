"""Per-axis tables and per-voxel functions that both backends execute; built once on the host."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Constants = tuple[np.float32, np.float32, np.float32, np.float32, np.float32]
"""(lead, scale, rest, low, high) of a `ClampedAffine`, see `ClampedAffine.constants`."""

_LEAST_NORMAL = float(np.finfo(np.float32).tiny)
"""A smaller scale has fewer digits in float32."""


@dataclass(frozen=True, eq=False)
class AxisTable:
    """Resampling along one axis: out[o] = (1 − weight[o])·in[lower[o]] + weight[o]·in[upper[o]].

    lower, upper  int32 [n_out], both inside 0 … n_in − 1
    weight        float32 [n_out] in [0, 1]; all zero for nearest neighbour

    A weight of 0 or 1 is stored as a plain copy of one sample (lower == upper, weight 0): an infinite or NaN neighbour
    that has no part in the result cannot leak in as 0 · inf, provided that a kernel takes in[lower] alone there.
    """

    lower: NDArray[np.int32]
    upper: NDArray[np.int32]
    weight: NDArray[np.float32]

    def __post_init__(self) -> None:
        lower = np.where(self.weight == 1.0, self.upper, self.lower)
        copies = (self.weight == 0.0) | (self.weight == 1.0)
        object.__setattr__(self, "lower", lower.astype(np.int32))
        object.__setattr__(self, "upper", np.where(copies, lower, self.upper).astype(np.int32))
        object.__setattr__(self, "weight", np.where(copies, 0.0, self.weight).astype(np.float32))

    def __len__(self) -> int:
        return int(self.lower.shape[0])

    @property
    def is_gather(self) -> bool:
        """True if every output is a copy of one input (nearest neighbour, identity, flips)."""
        return not bool(self.weight.any())

    def part(self, start: int, size: int) -> AxisTable:
        """`size` entries from `start` on."""
        entries = slice(start, start + size)
        return AxisTable(self.lower[entries], self.upper[entries], self.weight[entries])


@dataclass(frozen=True)
class ClampedAffine:
    """f(x) = min(max(scale·(x − centre) + shift, low), high), in float32 on the device; NaN stays NaN.

    Chains of these fold into one, in either direction of slope. With `centre`, numbers that are far from 0 and near
    each other need no cancellation on the host either: (x − mean) / std is `ClampedAffine(1 / std, centre=mean)`.
    """

    scale: float = 1.0
    shift: float = 0.0
    low: float = -math.inf
    high: float = math.inf
    centre: float = 0.0

    @property
    def is_identity(self) -> bool:
        return (self.scale, self.shift - self.centre, self.low, self.high) == (1.0, 0.0, -math.inf, math.inf)

    def at(self, value: float) -> float:
        """f(value), in float64; 0 · ±inf is NaN, and a constant has no need of the value."""
        value = self.shift if self.scale == 0.0 else self.scale * (value - self.centre) + self.shift
        return min(max(value, self.low), self.high)

    def constants(self) -> Constants:
        """(lead, scale, rest, low, high): kernels compute (x + lead)·scale + rest, and limit it to low and high.

        −lead is the float32 number at which f is nearest to 0, and `rest` is what f is there: the three roundings are
        relative to the result, however far from 0 the values are. An addition alone stays one: `rest` is then −0, which
        changes no number.
        """
        lead = 0.0
        if abs(self.scale) >= _LEAST_NORMAL:
            lead = float(float32(self.shift / self.scale - self.centre))
        if not math.isfinite(lead):
            lead = 0.0
        rest = self.shift - self.scale * (self.centre + lead)
        if rest == 0.0:
            rest = -0.0 if self.scale == 1.0 else 0.0
        return float32(lead), float32(self.scale), float32(rest), float32(self.low), float32(self.high)

    def then(self, after: ClampedAffine) -> ClampedAffine:
        """`after(self(x))` as one function."""

        ends = sorted((after.at(self.low), after.at(self.high)))
        if self.scale == 1.0 and self.shift == 0.0:  # its digits stay
            return ClampedAffine(after.scale, after.shift, ends[0], ends[1], self.centre + after.centre)
        scale, shift = self.scale * after.scale, (self.shift - after.centre) * after.scale + after.shift
        return ClampedAffine(scale, shift, ends[0], ends[1], self.centre)


def float32(value: float) -> np.float32:
    """The number as kernels compute and compare with it; what float32 cannot hold becomes infinite."""
    with np.errstate(over="ignore"):
        return np.float32(value)
