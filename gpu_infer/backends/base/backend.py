"""The protocol that both twins fulfil: `cpu.py` (NumPy and Numba, the definition) and `gpu.py` (CuPy, kernels, cuCIM).

Arrays are whatever the backend owns (`numpy.ndarray` or `cupy.ndarray`); both know `shape`, `dtype`, `strides`,
`transpose` and basic slicing, and views with any signed strides are accepted everywhere unless a docstring says
otherwise. Axis order is channels, X, Y, Z. No operation compiles anything per shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gpu_infer.backends.tables import AxisTable, ClampedAffine

Array = Any  # numpy.ndarray or cupy.ndarray
Tables = tuple[AxisTable, AxisTable, AxisTable]
Start = tuple[int, int, int]
OccupiedPlanes = tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]
"""Host vectors over X, Y and Z."""


@dataclass(frozen=True)
class RollingSums:
    """A rolling accumulator over a grid of `shape` (X, Y, Z).

    sums   float32 [K, H0, H1, H2]; voxel (x, y, z) of the grid lives at index (x % H0, y % H1, z % H2).
    shape  the grid's full spatial shape; H == shape except on the slab axis, where H may be smaller.
    weights  float32 [H0, H1, H2], the sum of repeats · importance at each voxel; None where it is not needed (argmax)
           or separable (constant importance, see `finish_scores`).
    """

    sums: Array
    shape: tuple[int, int, int]
    weights: Array | None = None


class Moments(NamedTuple):
    """Of a set of voxels: how many, their mean and their population standard deviation (0, 0.0, 0.0 for none)."""

    voxels: int
    mean: float
    std: float


class Backend(Protocol):
    """One device's operations. All may be asynchronous on the device; `fence` orders them before another process."""

    name: str  # "cpu" or "gpu"
    has_device_memory: bool = False  # whether `device_arena` gives memory that another process can open

    # -- memory -------------------------------------------------------------------------------------------------
    def upload(self, host: NDArray[Any]) -> Array:
        """Device array with `host`'s values, dtype, byte order and strides; `host` itself on the CPU."""
        ...

    def empty(self, shape: Sequence[int], dtype: DTypeLike) -> Array: ...

    def zeros(self, shape: Sequence[int], dtype: DTypeLike) -> Array: ...

    def download(self, array: Array) -> NDArray[Any]:
        """Host array with the same shape and memory order (no copy on the CPU)."""
        ...

    def free_bytes(self) -> int:
        """Memory that an allocation could still take on this device, in bytes."""
        ...

    def fence(self) -> None:
        """Return when everything written so far can be read by another process."""
        ...

    # -- what only a device has ---------------------------------------------------------------------------------
    def start_run(self) -> None:
        """Reset the counters of a run; memory and kernels outlive it. Does nothing on the CPU."""
        return

    def reserve(self, nbytes: int, *, beside: int = 0) -> None:
        """Take `nbytes` for a run from the driver in one piece, and leave `beside` bytes free. Nothing on the CPU."""
        return

    def counters(self) -> dict[str, int | float]:
        """What a device has counted since `start_run`: bytes over the bus, allocations, ties. Empty on the CPU."""
        return {}

    def identity(self) -> Any:
        """Which card this is, in words that can be compared with another process's; None on the CPU."""
        return None

    def device_arena(self, nbytes: int) -> Any:
        """Device memory of `nbytes` that another process can open; None on the CPU."""
        return None

    # -- prepare ------------------------------------------------------------------------------------------------
    def resample(
        self, source: Array, out: Array, tables: Tables | None, before: ClampedAffine, after: ClampedAffine
    ) -> None:
        """out[c, x, y, z] = after(resample(before(source))), in one pass.

        source  [C, X, Y, Z] of int8/16/32, uint8/16/32, float32/64 (float16 too), either byte order, any signed strides
        out     [C, X', Y', Z'] float32 or float16 (or an integer dtype with nearest tables and identity functions)
        tables  one per axis with X', Y', Z' entries; None: no resampling, X' == X and so on
        """
        ...

    def masked_moments(self, array: Array, nonzero_only: bool) -> Moments:
        """Moments of all voxels of [C, X, Y, Z] together, or of those that are not 0; sums in float64.

        array  any dtype that `resample` reads. A NaN counts as not 0; NaN and infinite voxels make mean or std NaN or
        infinite, which the caller looks at. Not asynchronous.
        """
        ...

    def masked_affine(self, source: Array, out: Array, function: ClampedAffine) -> None:
        """out = function(source) where source is not 0, else 0.

        source, out  [C, X, Y, Z] float32 or float16, computed in float32; `out` may be `source`
        """
        ...

    # -- windows ------------------------------------------------------------------------------------------------
    def gather(self, volume: Array, starts: Sequence[Start], slot: Array, fill: float) -> None:
        """slot[n, c] = volume[c] from starts[n] on, `fill` where the window hangs over the volume on either side.

        volume  [C, X, Y, Z]; slot [N', C, R0, R1, R2] float32 or float16 with N' ≥ len(starts), any strides; rows past
        len(starts) are left as they are. The slot may be host memory (a shared segment) on any backend.
        """
        ...

    def blend(
        self,
        slot: Array,
        starts: Sequence[Start],
        repeats: Sequence[int],
        importance: Array | None,
        ring: RollingSums,
    ) -> None:
        """ring += repeats[n] · importance · slot[n], window by window in the given order, clipped to the grid.

        slot        [N', K, R0, R1, R2] float32 or float16; importance [R0, R1, R2] float32 or None for 1
        The sums are taken in float32 in the order of `starts`, so they do not depend on how windows were batched. Where
        the ring has weights, repeats[n] · importance is added to them.
        """
        ...

    def finish_argmax(self, ring: RollingSums, low: Start, high: Start, labels: Array) -> None:
        """labels[box] = argmax over channels (lowest index wins a tie), then the box of the ring is set to zero.

        labels  [X, Y, Z] uint8 or uint16 of the whole grid; the box is low ≤ index < high.
        """
        ...

    def finish_scores(
        self, ring: RollingSums, low: Start, high: Start, counts: Sequence[NDArray[np.float32]], scores: Array
    ) -> None:
        """scores[:, box] = sums / weights, then the box of the ring (sums and weights) is set to zero.

        scores  [K, X, Y, Z] float32
        counts  per-axis weights of the whole grid, of which the product counts where the ring has no weights
        """
        ...

    def finish_masks(
        self,
        ring: RollingSums,
        low: Start,
        high: Start,
        counts: Sequence[NDArray[np.float32]],
        cuts: NDArray[np.float32],
        masks: Array,
    ) -> None:
        """masks[k, box] = 1 where the score of channel k > cuts[k], else 0; then the box of the ring is set to zero.

        masks  [K, X, Y, Z] uint8; scores and counts as in `finish_scores`, which with `threshold` behind it gives the
               same masks to the last bit, while no score is held. A NaN gives 0.
        cuts   [K] on the host
        """
        ...

    def take_nan_scores(self) -> int:
        """How many NaN scores `finish_argmax`, `finish_scores` and `finish_masks` have met since the last call."""
        ...

    def argmax(self, scores: Array, labels: Array) -> None:
        """labels[x, y, z] = argmax over channels of scores [K, X, Y, Z], lowest index wins a tie."""
        ...

    # -- labels -------------------------------------------------------------------------------------------------
    def resample_labels(self, labels: Array, tables: Tables, out: Array) -> None:
        """out[x, y, z] = labels[tables' nearest index]; out: any strided view of the same or a wider integer dtype."""
        ...

    def restore_argmax(self, scores: Array, tables: Tables, labels: Array) -> None:
        """labels[x, y, z] = argmax over channels of the resampled scores, lowest index wins a tie; in one pass.

        scores  [K, X, Y, Z] float32; labels  [X', Y', Z'] uint8 or uint16, any strides
        tables  one per axis with X', Y', Z' entries

        The labels are those of `resample` into scores of the labels' memory order and of their `argmax`, to the last
        bit, while K scores per output voxel are never held.
        """
        ...

    def largest_components(self, labels: Array, connectivity: int, only: Sequence[int] | None, out: Array) -> None:
        """out = labels where a voxel is in the largest connected component of its label, else 0.

        labels, out   [X, Y, Z] uint8 or uint16 of one dtype; `out` may be `labels`
        connectivity  1, 2 or 3: neighbours share a face, an edge, a corner
        only          labels to treat, the others stay as they are; None: all but 0

        Of components of one size, that one stays which has the lowest index (x·Y + y)·Z + z.
        """
        ...

    def histogram(self, labels: Array) -> NDArray[np.int64]:
        """int64 [max label + 1] on the host: voxels per label of a uint8 or uint16 array of any shape."""
        ...

    # -- masks --------------------------------------------------------------------------------------------------
    def threshold(self, source: Array, out: Array, value: float) -> None:
        """out = 1 where source > value, else 0; NaN gives 0.

        source, out  [C, X, Y, Z]; source of any dtype that `resample` reads, out of any integer or float dtype
        value        rounded to float32. Compared in float32 where that holds every number of the source's dtype, else
                     in float64, as NumPy does with a float32 scalar.
        """
        ...

    def lookup(self, labels: Array, table: NDArray[np.uint8], out: Array) -> None:
        """out = table[labels].

        labels, out  [C, X, Y, Z], labels uint8 or uint16, out uint8
        table        on the host, one entry per number that the labels' dtype holds: [256] or [65536]
        """
        ...

    def occupied_planes(self, array: Array, value: float) -> OccupiedPlanes:
        """Which indices along X, Y and Z have a voxel > value in any channel of [C, X, Y, Z]; as `threshold` compares.

        Not asynchronous.
        """
        ...
