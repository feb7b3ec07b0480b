"""Gather windows into slots, blend scores into the rolling sums, and finalize rows of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends import dtypes
from gpu_infer.backends.base.labels import check_labels
from gpu_infer.backends.boxes import Box, ring_boxes
from gpu_infer.backends.types import Array, RollingSums, SplitSums, Start, TwinArray

Counts = Sequence[NDArray[np.float32]]
"""Per-axis weights of the whole grid, on the host."""


class FinalBox(NamedTuple):
    """Voxels of the grid that no later window touches.

    low, high  the box low ≤ index < high, not empty
    pieces     (box of the grid, box of the rolling sums) that cover it, none of which wraps around
    """

    low: Start
    high: Start
    pieces: list[tuple[Box, Box]]


class WindowOperations(ABC):
    """The public operations of this group, and what a backend implements for them."""

    def gather(self, volume: Array, starts: Sequence[Start], slot: Array, fill: float | None) -> None:
        """slot[n, c] = volume[c] from starts[n] on, and outside the volume `fill`, or its nearest voxel.

        Args:
            volume: [C, X, Y, Z] float32 or float16.
            starts: First index of each window; windows may begin or end outside the volume.
            slot: [N', C, R0, R1, R2] float32 or float16 with N' ≥ len(starts), any strides. Rows from len(starts) on
                do not change. It may be host memory (a shared segment) on any backend, and is then complete on return.
            fill: Value outside the volume; None: that of the nearest voxel inside.

        Raises:
            ValueError: If shapes or dtypes do not agree, or there is no nearest voxel in an empty volume.
        """
        _check_gather(volume, starts, slot, fill)
        used = slot[: len(starts)]
        if used.size:
            self._gather(volume, starts, used, fill)

    def blend(
        self,
        slot: Array,
        starts: Sequence[Start],
        repeats: Sequence[int],
        importance: Array | None,
        rolling: RollingSums,
    ) -> None:
        """rolling.sums += (repeats[n] · importance) · slot[n], window by window, clipped to the grid.

        Every product and sum is rounded to float32, in the order of `starts`: sums do not depend on how windows were
        batched. If the rolling sums have weights, repeats[n] · importance is added to them.

        Args:
            slot: [N', K, R0, R1, R2] float32 or float16, on the device or the host.
            starts: First index of each window.
            repeats: How often each window counts.
            importance: [R0, R1, R2] float32, or None for 1.
            rolling: Sums of K channels.

        Raises:
            ValueError: If shapes or dtypes do not agree, or a window is longer than the rolling sums on an axis.
        """
        _check_blend(slot, starts, repeats, importance, rolling)
        used = slot[: len(starts)]
        if used.size and rolling.sums.size:
            self._blend(used, starts, repeats, importance, rolling)

    def blend_split(
        self, slot: Array, starts: Sequence[Start], repeats: Sequence[int], importance: Array | None, split: SplitSums
    ) -> None:
        """`blend` into sums that are in parts, in one pass over the slot: every part gets what `blend` would add to it.

        Voxels of windows that are in no part are not added to anything.

        Args:
            slot: As in `blend`.
            starts: First index of each window in the whole grid.
            repeats: As in `blend`.
            importance: As in `blend`.
            split: Sums of K channels.

        Raises:
            ValueError: As `blend` raises it for a part, or if parts overlap or have the wrong rows.
        """
        _check_split(split)
        for part in split.parts:
            _check_blend(slot, starts, repeats, importance, part.rolling)
        used = slot[: len(starts)]
        if used.size and split.parts:
            self._blend_split(used, starts, repeats, importance, split)

    def finish_argmax(self, rolling: RollingSums, low: Start, high: Start, labels: Array) -> None:
        """labels[box] = argmax over channels, the lowest index for equal sums; then the box of the sums becomes zero.

        Channels are compared with > from channel 0 on: a NaN after channel 0 never wins.

        Args:
            rolling: Sums of K channels; weights, if any, become zero too.
            low: First index of the box.
            high: End of the box, low ≤ index < high.
            labels: [X, Y, Z] uint8 or uint16 of the whole grid.

        Raises:
            ValueError: If the box leaves the grid or is longer than the rolling sums, or K labels do not fit the dtype.
        """
        check_labels(rolling.sums.shape[0], rolling.shape, labels)
        if pieces := box_pieces(rolling, low, high):
            self._finish_argmax(rolling, FinalBox(low, high, pieces), labels)

    def finish_scores(self, rolling: RollingSums, low: Start, high: Start, counts: Counts, scores: Array) -> None:
        """scores[:, box] = sums / weights; then the box of the rolling sums (sums and weights) becomes zero.

        A voxel of weight 0 becomes NaN or infinite, as 0/0 and x/0 are.

        Args:
            rolling: Sums of K channels.
            low: First index of the box.
            high: End of the box, low ≤ index < high.
            counts: Weights per axis of the whole grid; their product is the weight if `rolling` has no weights.
            scores: [K, X, Y, Z] float32 of the whole grid.

        Raises:
            ValueError: If the box leaves the grid or is longer than the rolling sums, or shapes do not agree.
        """
        _check_means("scores", np.dtype(np.float32), rolling, counts, scores)
        if pieces := box_pieces(rolling, low, high):
            self._finish_scores(rolling, FinalBox(low, high, pieces), counts, scores)

    def finish_masks(
        self,
        rolling: RollingSums,
        low: Start,
        high: Start,
        counts: Counts,
        thresholds: NDArray[np.float32],
        masks: Array,
    ) -> None:
        """masks[k, box] = 1 if the score of channel k > thresholds[k], else 0; then the box of the sums becomes zero.

        The masks are those of `finish_scores` and `threshold` to the last bit, but no score is stored. A NaN gives 0.

        Args:
            rolling: Sums of K channels.
            low: First index of the box.
            high: End of the box, low ≤ index < high.
            counts: As in `finish_scores`.
            thresholds: [K] on the host.
            masks: [K, X, Y, Z] uint8 of the whole grid.

        Raises:
            ValueError: If the box leaves the grid or is longer than the rolling sums, or shapes do not agree.
        """
        _check_means("masks", np.dtype(np.uint8), rolling, counts, masks)
        if thresholds.shape != (rolling.sums.shape[0],):
            raise ValueError(f"thresholds of shape {thresholds.shape} do not fit {rolling.sums.shape[0]} channels")
        if pieces := box_pieces(rolling, low, high):
            self._finish_masks(rolling, FinalBox(low, high, pieces), counts, thresholds, masks)

    @abstractmethod
    def take_nan_scores(self) -> int:
        """Number of NaN scores in `finish_argmax`, `finish_scores` and `finish_masks` since the last call."""

    def argmax(self, scores: Array, labels: Array) -> None:
        """labels[x, y, z] = argmax over channels of scores [K, X, Y, Z], compared as in `finish_argmax`.

        Args:
            scores: [K, X, Y, Z] of any real dtype, compared in its own precision.
            labels: [X, Y, Z] uint8 or uint16.

        Raises:
            ValueError: If shapes do not agree or K labels do not fit the dtype; on the GPU also for scores of a foreign
                byte order.
        """
        if scores.ndim != 4 or scores.dtype.kind not in "iuf":
            raise ValueError(f"scores must be real [K, X, Y, Z], found {scores.dtype} {scores.shape}")
        check_labels(scores.shape[0], scores.shape[1:], labels)
        if labels.size:
            self._argmax(scores, labels)

    @abstractmethod
    def _gather(self, volume: TwinArray, starts: Sequence[Start], slot: TwinArray, fill: float | None) -> None:
        """`gather` into a slot of len(starts) windows, not empty."""

    @abstractmethod
    def _blend(
        self,
        slot: TwinArray,
        starts: Sequence[Start],
        repeats: Sequence[int],
        importance: TwinArray | None,
        rolling: RollingSums,
    ) -> None:
        """`blend` of a slot of len(starts) windows, not empty."""

    @abstractmethod
    def _blend_split(
        self,
        slot: TwinArray,
        starts: Sequence[Start],
        repeats: Sequence[int],
        importance: TwinArray | None,
        split: SplitSums,
    ) -> None:
        """`blend_split` of a slot of len(starts) windows, not empty, and of at least one part."""

    @abstractmethod
    def _finish_argmax(self, rolling: RollingSums, box: FinalBox, labels: TwinArray) -> None: ...

    @abstractmethod
    def _finish_scores(self, rolling: RollingSums, box: FinalBox, counts: Counts, scores: TwinArray) -> None: ...

    @abstractmethod
    def _finish_masks(
        self,
        rolling: RollingSums,
        box: FinalBox,
        counts: Counts,
        thresholds: NDArray[np.float32],
        masks: TwinArray,
    ) -> None: ...

    @abstractmethod
    def _argmax(self, scores: TwinArray, labels: TwinArray) -> None:
        """`argmax` of arrays that are not empty."""


def box_pieces(rolling: RollingSums, low: Start, high: Start) -> list[tuple[Box, Box]]:
    """The pieces of low ≤ index < high as (box of the grid, box of the sums); none for an empty box.

    Raises ValueError if the box leaves the grid or is longer than the rolling sums on an axis.
    """
    _check_rolling(rolling)
    if not all(0 <= a <= b <= n for a, b, n in zip(low, high, rolling.shape, strict=True)):
        raise ValueError(f"box {low} … {high} is not inside the grid {tuple(rolling.shape)}")
    x, y, z = (slice(a, b) for a, b in zip(low, high, strict=True))
    return ring_boxes((x, y, z), rolling.sums.shape[1:])


# Kernels index without bounds checks: these functions keep a caller's mistake away from foreign memory.
def _check_gather(volume: Array, starts: Sequence[Start], slot: Array, fill: float | None) -> None:
    """volume [C, X, Y, Z], slot [N', C, R0, R1, R2], both float32 or float16, N' ≥ len(starts)."""
    if volume.ndim != 4 or slot.ndim != 5 or volume.shape[0] != slot.shape[1]:
        raise ValueError(f"gather takes [C, X, Y, Z] and [N, C, R0, R1, R2], found {volume.shape} and {slot.shape}")
    if volume.dtype not in dtypes.MODEL or slot.dtype not in dtypes.MODEL:
        raise ValueError(f"gather copies float32 and float16, found {volume.dtype} and {slot.dtype}")
    if fill is None and not volume.size:
        raise ValueError(f"gather repeats the edge of a volume, found an empty one of shape {volume.shape}")
    _check_places(slot, starts)


def _check_blend(
    slot: Array,
    starts: Sequence[Start],
    repeats: Sequence[int],
    importance: Array | None,
    rolling: RollingSums,
) -> None:
    """slot [N', K, R0, R1, R2] float32 or float16, importance [R0, R1, R2] float32, sums of K channels."""
    _check_rolling(rolling)
    channels = rolling.sums.shape[0]
    if slot.ndim != 5 or slot.shape[1] != channels or slot.dtype not in dtypes.MODEL:
        raise ValueError(f"blend takes float32 or float16 [N, {channels}, R0, R1, R2], found {slot.dtype} {slot.shape}")
    _check_places(slot, starts)
    if len(repeats) != len(starts):
        raise ValueError(f"blend takes one repeat per window, found {len(repeats)} for {len(starts)}")
    if importance is not None and (importance.shape != slot.shape[2:] or importance.dtype != np.float32):
        raise ValueError(f"importance must be float32 {slot.shape[2:]}, found {importance.dtype} {importance.shape}")


def _check_split(split: SplitSums) -> None:
    """Parts of ascending rows inside the grid, with weights in all of them or in none."""
    row = 0
    for low, high, rolling in split.parts:
        expected = tuple(high - low if axis == split.axis else n for axis, n in enumerate(split.shape))
        if not row <= low < high <= split.shape[split.axis] or tuple(rolling.shape) != expected:
            raise ValueError(
                f"a part of rows {low} … {high} with a grid {tuple(rolling.shape)} does not follow row {row} "
                f"on axis {split.axis} of the grid {tuple(split.shape)}"
            )
        if (rolling.weights is None) != (split.weights is None):
            raise ValueError("weights must be in every part or in none")
        row = high


def _check_means(name: str, dtype: np.dtype[Any], rolling: RollingSums, counts: Counts, array: Array) -> None:
    """An output [K, X, Y, Z] of the grid, and one count per index of each axis."""
    expected = (rolling.sums.shape[0], *rolling.shape)
    if array.shape != expected or array.dtype != dtype:
        raise ValueError(f"{name} must be {dtype} {expected}, found {array.dtype} {array.shape}")
    if tuple(len(c) for c in counts) != tuple(rolling.shape):
        raise ValueError(f"counts of lengths {[len(c) for c in counts]} do not fit the grid {tuple(rolling.shape)}")


def _check_rolling(rolling: RollingSums) -> None:
    """sums float32 [K, H0, H1, H2], weights float32 [H0, H1, H2]."""
    sums, weights = rolling.sums, rolling.weights
    if sums.ndim != 4 or sums.dtype != np.float32:
        raise ValueError(f"rolling sums are float32 [K, H0, H1, H2], found {sums.dtype} {sums.shape}")
    if weights is not None and (weights.shape != sums.shape[1:] or weights.dtype != np.float32):
        raise ValueError(f"weights must be float32 {sums.shape[1:]}, found {weights.dtype} {weights.shape}")


def _check_places(slot: Array, starts: Sequence[Start]) -> None:
    """A place in the slot for every window."""
    if len(starts) > slot.shape[0]:
        raise ValueError(f"{len(starts)} windows do not fit a slot of {slot.shape[0]}")
