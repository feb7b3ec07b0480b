"""Windows into slots, scores into the rolling accumulator, finished rows out of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends.base import checks
from gpu_infer.backends.base.backend import Array, RollingSums, Start
from gpu_infer.backends.boxes import clip
from gpu_infer.backends.gpu import kernel_arguments as arguments
from gpu_infer.backends.gpu.device.device import Device
from gpu_infer.backends.gpu.operations import ROWS, Operations, pointer_or_null, steps_or_zero
from gpu_infer.backends.layout import code, fastest_last, output, pointer, reordered, steps


class WindowOperations(Operations):
    def __init__(self, device: Device, tie_band: float) -> None:
        super().__init__(device, tie_band)
        self._held_tables: dict[bytes, Array] = {}

    def gather(self, volume: Array, starts: Sequence[Start], slot: Array, fill: float) -> None:
        """See `Backend.gather`. A slot in host memory is written when the method returns.

        Raises ValueError where shapes or dtypes do not go together.
        """
        checks.gather(volume, starts, slot)
        used = slot[: len(starts)]
        if used.size == 0:
            return
        with self._device.section("gather"):
            if not isinstance(slot, np.ndarray):
                self._gather(volume, starts, used, fill)
                return
            scratch = self._device.allocate_like(used)
            self._gather(volume, starts, scratch, fill)
            self._device.counters.tile_bytes_down += used.nbytes
            self._device.downloaded(scratch, used)

    def _gather(self, volume: Array, starts: Sequence[Start], slot: Array, fill: float) -> None:
        order = fastest_last(slot)
        source, target = pointer(volume), output(slot)
        shared = {
            "volume": source,
            "volume_strides": reordered(steps(volume), order),
            "slot_strides": reordered(steps(slot), order),
            "volume_size": reordered(volume.shape[1:], order),
            "window_size": reordered(slot.shape[2:], order),
            "channels": volume.shape[0],
            "fill": fill,
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

    def blend(
        self,
        slot: Array,
        starts: Sequence[Start],
        repeats: Sequence[int],
        importance: Array | None,
        ring: RollingSums,
    ) -> None:
        """See `Backend.blend`: sums += (repeats · importance) · slot, every operation rounded to float32.

        Raises ValueError where shapes or dtypes do not go together, or a window is longer than the ring.
        """
        checks.blend(slot, starts, repeats, importance, ring)
        used = slot[: len(starts)]
        if used.size == 0:
            return
        with self._device.section("blend"):
            if isinstance(slot, np.ndarray):
                self._device.counters.tile_bytes_up += used.nbytes
                used = self._device.uploaded(used)
            if isinstance(importance, np.ndarray):
                importance = self._device.uploaded(importance)
            for n, start in enumerate(starts):
                self._blend(used[n], start, repeats[n], importance, ring)

    def _blend(self, window: Array, start: Start, repeats: int, importance: Array | None, ring: RollingSums) -> None:
        inside = clip(start, window.shape[1:], ring.shape)
        if inside is None:
            return
        heights = ring.sums.shape[1:]
        checks.box(ring, _corner(inside.grid, "start"), _corner(inside.grid, "stop"))
        scores = window[(slice(None), *inside.window)]
        weights = None if importance is None else importance[inside.window]
        order = fastest_last(ring.sums)
        size = reordered(scores.shape[1:], order)
        packed = arguments.packed(
            arguments.BLEND,
            scores=pointer(scores),
            sums=output(ring.sums),
            weights=pointer_or_null(ring.weights),
            importance=pointer_or_null(weights),
            scores_strides=reordered(steps(scores), order),
            sums_strides=reordered(steps(ring.sums), order),
            weights_strides=steps_or_zero(ring.weights, order),
            importance_strides=steps_or_zero(weights, order),
            size=size,
            origin=reordered([s.start % h for s, h in zip(inside.grid, heights, strict=True)], order),
            height=reordered(heights, order),
            channels=scores.shape[0],
            repeats=repeats,
        )
        self._device.launch("blend", f"blend_{code(scores.dtype)}", size[0] * -(-size[1] // ROWS["blend"]), packed)

    def finish_argmax(self, ring: RollingSums, low: Start, high: Start, labels: Array) -> None:
        """See `Backend.finish_argmax`. Ties within `tie_band` are counted.

        Raises ValueError where the box leaves the grid or is longer than the ring, or labels do not fit their dtype.
        """
        checks.labels(ring.sums.shape[0], ring.shape, labels)
        with self._device.section("finish_argmax"):
            self._finish(f"finish_argmax_{code(labels.dtype)}", ring, low, high, labels[None])

    def finish_scores(
        self, ring: RollingSums, low: Start, high: Start, counts: Sequence[NDArray[np.float32]], scores: Array
    ) -> None:
        """See `Backend.finish_scores`.

        Raises ValueError where the box leaves the grid or is longer than the ring, or shapes do not agree.
        """
        checks.scores(ring, counts, scores)
        with self._device.section("finish_scores"):
            per_axis = [self._table(c)[a:b] for c, a, b in zip(counts, low, high, strict=True)]
            self._finish("finish_scores", ring, low, high, scores, counts=per_axis)

    def finish_masks(
        self,
        ring: RollingSums,
        low: Start,
        high: Start,
        counts: Sequence[NDArray[np.float32]],
        cuts: NDArray[np.float32],
        masks: Array,
    ) -> None:
        """See `Backend.finish_masks`. Voxels of which a score is within `tie_band` of its cut are counted as ties.

        Raises ValueError where the box leaves the grid or is longer than the ring, or shapes do not agree.
        """
        checks.masks(ring, counts, cuts, masks)
        with self._device.section("finish_masks"):
            per_axis = [self._table(c)[a:b] for c, a, b in zip(counts, low, high, strict=True)]
            self._finish("finish_masks", ring, low, high, masks, counts=per_axis, cuts=self._table(cuts))

    def _finish(
        self,
        kind: str,
        ring: RollingSums,
        low: Start,
        high: Start,
        out: Array,
        counts: Sequence[Array] | None = None,
        cuts: Array | None = None,
    ) -> None:
        if not checks.box(ring, low, high):
            return
        tallies = self._tally()
        heights = ring.sums.shape[1:]
        order = fastest_last(ring.sums)
        size = reordered([b - a for a, b in zip(low, high, strict=True)], order)
        box = out[(slice(None), *(slice(a, b) for a, b in zip(low, high, strict=True)))]
        i, j, k = (0, 0, 0) if counts is None else reordered([pointer(c) for c in counts], order)
        packed = arguments.packed(
            arguments.FINISH,
            sums=output(ring.sums),
            weights=pointer_or_null(ring.weights),
            out=output(box),
            ties=tallies if cuts is not None or (counts is None and ring.sums.shape[0] > 1) else 0,
            nans=tallies + 8,
            count_i=i,
            count_j=j,
            count_k=k,
            cuts=pointer_or_null(cuts),
            sums_strides=reordered(steps(ring.sums), order),
            weights_strides=steps_or_zero(ring.weights, order),
            out_strides=reordered(steps(box), order),
            size=size,
            origin=reordered([a % h for a, h in zip(low, heights, strict=True)], order),
            height=reordered(heights, order),
            channels=ring.sums.shape[0],
            band=self.tie_band,
        )
        self._device.launch("finish", kind, size[0] * -(-size[1] // ROWS["finish"]), packed)

    def take_nan_scores(self) -> int:
        """See `Backend.take_nan_scores`. Waits for the work before it."""
        if self._tallies is None:
            return 0
        with self._device.section("take_nan_scores"):
            nans = self._tallies[1:]
            found = int(self._device.small_download(nans)[0])
            nans.data.memset_async(0, nans.nbytes, self._device.stream)
        return found

    def argmax(self, scores: Array, labels: Array) -> None:
        """See `Backend.argmax`. Compares as `finish_argmax` does; scores of any real dtype, in its own precision. Ties
        within `tie_band` are counted.

        Raises ValueError where shapes do not agree or labels do not fit their dtype.
        """
        if scores.ndim != 4 or scores.dtype.kind not in "iuf":
            raise ValueError(f"scores must be real [K, X, Y, Z], found {scores.dtype} {scores.shape}")
        if not scores.dtype.isnative:
            raise ValueError(f"scores must be of native byte order, found {scores.dtype.str}")
        checks.labels(scores.shape[0], scores.shape[1:], labels)
        if labels.size == 0:
            return
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

    def _table(self, numbers: NDArray[np.float32]) -> Array:
        """Counts or cuts on the device; the few of a job are the same for every slab."""
        host = np.ascontiguousarray(numbers, np.float32)
        key = host.tobytes()
        if key not in self._held_tables:
            if len(self._held_tables) >= 64:
                self._held_tables.clear()
            self._held_tables[key] = self._device.small_upload(host)
        return self._held_tables[key]


def _corner(box: tuple[slice, slice, slice], end: str) -> Start:
    x, y, z = (int(getattr(s, end)) for s in box)
    return (x, y, z)
