"""Gather windows into slots, blend scores into the rolling sums, and finalize rows of them, on the GPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends.base.windows import Counts, FinalBox, WindowOperations, box_pieces
from gpu_infer.backends.boxes import Box, clip
from gpu_infer.backends.gpu import kernel_arguments as arguments
from gpu_infer.backends.gpu.device.device import Device
from gpu_infer.backends.gpu.operations import ROWS, Operations, pointer_or_null, steps_or_zero
from gpu_infer.backends.layout import code, fastest_last, output, pointer, reordered, steps
from gpu_infer.backends.types import DeviceArray, RollingSums, SplitSums, Start

_MOST_UPLOADED = 64
"""Small arrays of counts and thresholds that stay on the device."""


Axes = tuple[int, int, int]
"""Spatial axes in an order, the fastest one last."""


class _Divisors(NamedTuple):
    """counts, per axis of a box, and thresholds [K], on the device."""

    counts: list[DeviceArray]
    thresholds: DeviceArray | None = None


class GpuWindowOperations(Operations, WindowOperations):
    def __init__(self, device: Device, tie_band: float) -> None:
        super().__init__(device, tie_band)
        self._uploaded_numbers: dict[bytes, DeviceArray] = {}

    def _gather(self, volume: DeviceArray, starts: Sequence[Start], slot: DeviceArray, fill: float | None) -> None:
        with self._device.section("gather"):
            if not isinstance(slot, np.ndarray):
                self._gather_on_device(volume, starts, slot, fill)
                return
            scratch = self._device.allocate_like(slot)
            self._gather_on_device(volume, starts, scratch, fill)
            self._device.counters.tile_bytes_down += slot.nbytes
            self._device.downloaded(scratch, slot)

    def _gather_on_device(
        self, volume: DeviceArray, starts: Sequence[Start], slot: DeviceArray, fill: float | None
    ) -> None:
        order = fastest_last(slot)
        source, target = pointer(volume), output(slot)
        shared = {
            "volume": source,
            "volume_strides": reordered(steps(volume), order),
            "slot_strides": reordered(steps(slot), order),
            "volume_size": reordered(volume.shape[1:], order),
            "window_size": reordered(slot.shape[2:], order),
            "channels": volume.shape[0],
            "fill": fill or 0.0,
            "edge": fill is None,
        }
        i, j, _ = shared["window_size"]
        kind = f"gather_{code(volume.dtype)}_{code(slot.dtype)}"
        for first in range(0, len(starts), arguments.MOST_WINDOWS):
            group = starts[first : first + arguments.MOST_WINDOWS]
            listed = np.zeros((arguments.MOST_WINDOWS, 3), np.int64)
            listed[: len(group)] = [reordered(start, order) for start in group]
            packed = arguments.packed(arguments.GATHER, slot=target + first * slot.strides[0], starts=listed, **shared)
            blocks = len(group) * volume.shape[0] * i * -(-j // ROWS["gather"])
            self._device.launch("gather", kind, blocks, packed)

    def _blend(
        self,
        slot: DeviceArray,
        starts: Sequence[Start],
        repeats: Sequence[int],
        importance: DeviceArray | None,
        rolling: RollingSums,
    ) -> None:
        with self._device.section("blend"):
            slot, importance = self._on_device(slot, importance)
            order = fastest_last(rolling.sums)
            for n, start in enumerate(starts):
                if part := _part_fields(slot[n], start, importance, rolling, order):
                    shared = _window_fields(slot[n], repeats[n], importance, order)
                    packed = arguments.packed(arguments.BLEND, **shared, **part)
                    self._device.launch("blend", f"blend_{code(slot.dtype)}", _blend_blocks(part), packed)

    def _blend_split(
        self,
        slot: DeviceArray,
        starts: Sequence[Start],
        repeats: Sequence[int],
        importance: DeviceArray | None,
        split: SplitSums,
    ) -> None:
        with self._device.section("blend"):
            slot, importance = self._on_device(slot, importance)
            order = fastest_last(max((part.rolling.sums for part in split.parts), key=lambda sums: sums.size))
            for n, start in enumerate(starts):
                each = (
                    _part_fields(slot[n], split.start_in(part, start), importance, part.rolling, order)
                    for part in split.parts
                )
                parts = [fields for fields in each if fields]
                shared = _window_fields(slot[n], repeats[n], importance, order)
                for first in range(0, len(parts), arguments.MOST_PARTS):
                    group = parts[first : first + arguments.MOST_PARTS]
                    self._blend_parts(f"blend_parts_{code(slot.dtype)}", shared, group)

    def _blend_parts(self, kind: str, shared: dict[str, Any], parts: Sequence[dict[str, Any]]) -> None:
        """One launch for parts of the sums that have no voxel in common."""
        table, end = np.zeros(arguments.MOST_PARTS, arguments.BLEND_PART), 0
        for n, fields in enumerate(parts):
            end += _blend_blocks(fields)
            table[n] = arguments.values(arguments.BLEND_PART, {**fields, "end": end})
        packed = arguments.packed(arguments.BLEND_PARTS, parts=table, **shared)
        self._device.launch("blend", kind, end, packed)

    def _on_device(self, slot: DeviceArray, importance: DeviceArray | None) -> tuple[DeviceArray, DeviceArray | None]:
        """A slot and its weights, uploaded if they are on the host."""
        if isinstance(slot, np.ndarray):
            self._device.counters.tile_bytes_up += slot.nbytes
            slot = self._device.uploaded(slot)
        if isinstance(importance, np.ndarray):
            importance = self._device.uploaded(importance)
        return slot, importance

    def _finish_argmax(self, rolling: RollingSums, box: FinalBox, labels: DeviceArray) -> None:
        """Ties within `tie_band` are counted."""
        with self._device.section("finish_argmax"):
            self._finish(f"finish_argmax_{code(labels.dtype)}", rolling, box, labels[None])

    def _finish_scores(self, rolling: RollingSums, box: FinalBox, counts: Counts, scores: DeviceArray) -> None:
        with self._device.section("finish_scores"):
            self._finish("finish_scores", rolling, box, scores, _Divisors(self._counts(counts, box)))

    def _finish_masks(
        self,
        rolling: RollingSums,
        box: FinalBox,
        counts: Counts,
        thresholds: NDArray[np.float32],
        masks: DeviceArray,
    ) -> None:
        """A voxel with a score within `tie_band` of its threshold is counted as a tie."""
        with self._device.section("finish_masks"):
            divisors = _Divisors(self._counts(counts, box), self._uploaded(thresholds))
            self._finish("finish_masks", rolling, box, masks, divisors)

    def _counts(self, counts: Counts, box: FinalBox) -> list[DeviceArray]:
        """The counts of the box, per axis."""
        return [self._uploaded(c)[a:b] for c, a, b in zip(counts, box.low, box.high, strict=True)]

    def _finish(
        self, kind: str, rolling: RollingSums, box: FinalBox, grid: DeviceArray, divisors: _Divisors | None = None
    ) -> None:
        """Launch a kernel of finish.cu that writes the box of `grid` [channels, X, Y, Z]; no divisors for argmax."""
        tallies = self._tally()
        sums, weights = rolling.sums, rolling.weights
        heights = sums.shape[1:]
        order = fastest_last(sums)
        size = reordered([b - a for a, b in zip(box.low, box.high, strict=True)], order)
        out = grid[(slice(None), *(slice(a, b) for a, b in zip(box.low, box.high, strict=True)))]
        i, j, k = (0, 0, 0) if divisors is None else reordered([pointer(c) for c in divisors.counts], order)
        thresholds = None if divisors is None else divisors.thresholds
        counts_ties = thresholds is not None or (divisors is None and sums.shape[0] > 1)
        packed = arguments.packed(
            arguments.FINISH,
            sums=output(sums),
            weights=pointer_or_null(weights),
            out=output(out),
            ties=tallies if counts_ties else 0,
            nans=tallies + 8,
            count_i=i,
            count_j=j,
            count_k=k,
            cuts=pointer_or_null(thresholds),
            sums_strides=reordered(steps(sums), order),
            weights_strides=steps_or_zero(weights, order),
            out_strides=reordered(steps(out), order),
            size=size,
            origin=reordered([a % h for a, h in zip(box.low, heights, strict=True)], order),
            height=reordered(heights, order),
            channels=sums.shape[0],
            band=self.tie_band,
        )
        self._device.launch("finish", kind, size[0] * -(-size[1] // ROWS["finish"]), packed)

    def take_nan_scores(self) -> int:
        """See `Backend.take_nan_scores`. Waits for the work before it."""
        if self._tallies is None:
            return 0
        with self._device.section("take_nan_scores"):
            nans = self._tallies[1:]
            count = int(self._device.small_download(nans)[0])
            nans.data.memset_async(0, nans.nbytes, self._device.stream)
        return count

    def _argmax(self, scores: DeviceArray, labels: DeviceArray) -> None:
        """Ties within `tie_band` are counted. Raises ValueError for scores of a foreign byte order."""
        if not scores.dtype.isnative:
            raise ValueError(f"scores must be of native byte order, found {scores.dtype.str}")
        with self._device.section("argmax"):
            order = fastest_last(scores)
            size = reordered(labels.shape, order)
            packed = arguments.packed(
                arguments.ARGMAX,
                scores=pointer(scores),
                labels=output(labels),
                ties=self._tally() if scores.shape[0] > 1 else 0,
                scores_strides=reordered(steps(scores), order),
                labels_strides=reordered(steps(labels), order),
                size=size,
                channels=scores.shape[0],
                band=self.tie_band,
            )
            kind = f"argmax_{code(scores.dtype)}_{code(labels.dtype)}"
            self._device.launch("finish", kind, size[0] * -(-size[1] // ROWS["finish"]), packed)

    def _uploaded(self, numbers: NDArray[np.float32]) -> DeviceArray:
        """Counts or thresholds on the device; the few of a run are the same for every slab."""
        host = np.ascontiguousarray(numbers, np.float32)
        key = host.tobytes()
        if key not in self._uploaded_numbers:
            if len(self._uploaded_numbers) >= _MOST_UPLOADED:
                self._uploaded_numbers.clear()
            self._uploaded_numbers[key] = self._device.small_upload(host)
        return self._uploaded_numbers[key]


def _window_fields(window: DeviceArray, repeats: int, importance: DeviceArray | None, order: Axes) -> dict[str, Any]:
    """The fields of `BLEND` that do not depend on the sums."""
    return {
        "scores_strides": reordered(steps(window), order),
        "importance_strides": steps_or_zero(importance, order),
        "channels": window.shape[0],
        "repeats": repeats,
    }


def _part_fields(
    window: DeviceArray, start: Start, importance: DeviceArray | None, rolling: RollingSums, order: Axes
) -> dict[str, Any] | None:
    """The other fields of `BLEND`; None if the window is outside the grid.

    Raises ValueError if the window is longer than the sums.
    """
    inside = clip(start, window.shape[1:], rolling.shape)
    if inside is None:
        return None
    heights = rolling.sums.shape[1:]
    box_pieces(rolling, *_corners(inside.grid))  # raises ValueError
    scores = window[(slice(None), *inside.window)]
    weights = None if importance is None else importance[inside.window]
    return {
        "scores": pointer(scores),
        "sums": output(rolling.sums),
        "weights": pointer_or_null(rolling.weights),
        "importance": pointer_or_null(weights),
        "sums_strides": reordered(steps(rolling.sums), order),
        "weights_strides": steps_or_zero(rolling.weights, order),
        "size": reordered(scores.shape[1:], order),
        "origin": reordered([s.start % h for s, h in zip(inside.grid, heights, strict=True)], order),
        "height": reordered(heights, order),
    }


def _blend_blocks(fields: dict[str, Any]) -> int:
    """Blocks of a launch of blend."""
    i, j, _ = fields["size"]
    return int(i * -(-j // ROWS["blend"]))


def _corners(box: Box) -> tuple[Start, Start]:
    """The first index and the end of a box."""
    x, y, z = box
    return (x.start, y.start, z.start), (x.stop, y.stop, z.stop)
