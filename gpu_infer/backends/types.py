"""Types that both backends share: arrays, tables of three axes, rolling sums, moments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends.tables import AxisTable


class Array(Protocol):
    """What `numpy.ndarray` and `cupy.ndarray` have in common.

    Code for either backend uses these members alone. Basic indices (integers, slices, ..., None) make views.
    """

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    @property
    def strides(self) -> tuple[int, ...]:
        """Signed, in bytes."""
        ...

    @property
    def ndim(self) -> int: ...

    @property
    def size(self) -> int: ...

    @property
    def nbytes(self) -> int: ...

    @property
    def flags(self) -> Any:
        """`c_contiguous` and `f_contiguous`."""
        ...

    @overload
    def transpose(self, axes: Sequence[int], /) -> Array: ...

    @overload
    def transpose(self, *axes: int) -> Array: ...

    def reshape(self, shape: Sequence[int], /) -> Array:
        """A view, of a contiguous array."""
        ...

    def __getitem__(self, key: Any, /) -> Array: ...

    def __setitem__(self, key: Any, value: Any, /) -> None: ...


TwinArray: TypeAlias = Any
"""The array type of one backend, in the methods that the public ones call: `HostArray` on the CPU, `DeviceArray` on the
GPU."""

HostArray: TypeAlias = NDArray[Any]
"""An array of the CPU backend, of any dtype."""

DeviceArray: TypeAlias = Any
"""`cupy.ndarray`, which has no type hints."""

Start = tuple[int, int, int]
"""First index of a window along X, Y and Z; negative if the window begins outside the grid."""

Shape4 = tuple[int, int, int, int]
"""Channels and three lengths."""

Tables = tuple[AxisTable, AxisTable, AxisTable]
"""The tables of X, Y and Z."""

OccupiedPlanes = tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]
"""Host vectors over X, Y and Z."""


@dataclass(frozen=True)
class RollingSums:
    """A rolling accumulator over a grid of `shape` (X, Y, Z).

    sums     float32 [K, H0, H1, H2]; voxel (x, y, z) of the grid has index (x % H0, y % H1, z % H2)
    shape    the grid's full spatial shape; H == shape except on the slab axis, on which H may be smaller
    weights  float32 [H0, H1, H2], the sum of repeats · importance at each voxel; None if it is not needed (argmax)
             or separable (constant importance, see `Backend.finish_scores`)
    """

    sums: TwinArray
    shape: tuple[int, int, int]
    weights: TwinArray | None = None


class SumsPart(NamedTuple):
    """The sums of neighbouring rows low ≤ row < high along one axis of a grid.

    rolling  its grid has these rows alone along the axis, as 0, 1, …, and is the whole grid along the others
    """

    low: int
    high: int
    rolling: RollingSums


class SplitSums(NamedTuple):
    """Rolling sums of a grid of `shape` (X, Y, Z) whose rows along `axis` are in several parts of one memory.

    sums     float32 [M]; the sums of the parts are views of it
    weights  float32 [M], of which the weights of the parts are views; None: parts have none
    parts    in ascending order of their rows, and no row twice. Voxels of other rows have no sums
    """

    shape: tuple[int, int, int]
    axis: int
    sums: TwinArray
    weights: TwinArray | None
    parts: Sequence[SumsPart]

    def start_in(self, part: SumsPart, start: Start) -> Start:
        """`start` of a window in the grid of a part."""
        x, y, z = (index - part.low * (axis == self.axis) for axis, index in enumerate(start))
        return (x, y, z)


class Extrema(NamedTuple):
    """The least and the greatest number of an array in float32, and whether it has a NaN, which is no number.

    `low` is above `high` if there is no number.
    """

    low: float
    high: float
    has_nan: bool


class Moments(NamedTuple):
    """Number of voxels in a set, their mean and their population standard deviation (0, 0.0, 0.0 for none)."""

    voxels: int
    mean: float
    std: float
