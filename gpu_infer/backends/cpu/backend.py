"""The CPU backend: NumPy arrays, Numba kernels. It is the definition that the GPU twin is held against.

Kernels are compiled once per pair of dtypes, never per shape or memory layout, because every view reaches
them as a flat buffer with an offset and strides (`kernels.strided`). Numba's threading layers do not all
allow two threads to start a parallel kernel at once, so a lock lets one in at a time; operations may be
called from any thread.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gpu_infer.backends.base import checks
from gpu_infer.backends.base.backend import Backend, Moments, OccupiedPlanes, RollingSums, Start, Tables
from gpu_infer.backends.boxes import clip, hanging_parts, ring_boxes, shifted
from gpu_infer.backends.cpu.kernels import finish, statistics, windows
from gpu_infer.backends.cpu.kernels.components import Components
from gpu_infer.backends.cpu.kernels.half import as_bits
from gpu_infer.backends.cpu.kernels.labels import count_labels, look_up
from gpu_infer.backends.cpu.kernels.pick import pick
from gpu_infer.backends.cpu.kernels.prepare import resample
from gpu_infer.backends.cpu.kernels.restore_argmax import restore_argmax
from gpu_infer.backends.cpu.kernels.strided import frozen, native, reading, writing
from gpu_infer.backends.cpu.kernels.walk import plan_walk
from gpu_infer.backends.cpu.kernels.zoom import interpolate
from gpu_infer.backends.resampling import identity_table
from gpu_infer.backends.tables import ClampedAffine
from gpu_infer.errors import ResourceError
from gpu_infer.system.host_memory import free_host_bytes

LineTable = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]
"""lower, upper, weight of every output index: out = (1 − weight)·in[lower] + weight·in[upper]."""

_LAUNCH = threading.Lock()

_ONE = np.ones((1, 1, 1), np.float32)
"""Stands where a kernel takes importance weights that it does not read."""


class CpuBackend(Backend):
    """`Backend` on the host. Everything is finished when a method returns."""

    name = "cpu"

    def __init__(self) -> None:
        self._nan_scores = 0

    def upload(self, host: NDArray[Any]) -> NDArray[Any]:
        """`host` itself; in the machine's byte order if it was not."""
        return native(host)

    def empty(self, shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
        """Raises ResourceError where the host has not that much memory."""
        try:
            return np.empty(tuple(shape), dtype)
        except MemoryError as error:
            raise _out_of_memory(shape, dtype) from error

    def zeros(self, shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
        """Raises ResourceError where the host has not that much memory."""
        try:
            return np.zeros(tuple(shape), dtype)
        except MemoryError as error:
            raise _out_of_memory(shape, dtype) from error

    def download(self, array: NDArray[Any]) -> NDArray[Any]:
        return array

    def free_bytes(self) -> int:
        return free_host_bytes()

    def fence(self) -> None:
        """Nothing to wait for: host writes are visible to other processes of this machine."""

    # -- prepare -----------------------------------------------------------------------------------
    def resample(
        self,
        source: NDArray[Any],
        out: NDArray[Any],
        tables: Tables | None,
        before: ClampedAffine,
        after: ClampedAffine,
    ) -> None:
        """See `Backend.prepare`. Interpolates along the output's fastest axis last.

        Kernels read native integers and float32/64: anything else is converted whole before (`upload` does
        so for a foreign byte order, once).

        Raises ValueError where shapes, dtypes and tables do not go together.
        """
        checks.resample(source, out, tables)
        if out.size == 0:
            return
        if tables is None:
            x, y, z = (identity_table(n) for n in source.shape[1:])
            tables = (x, y, z)
        if out.dtype.kind in "iu":
            checks.integer_resample(source, out, tables, before, after)
            self._pick(source, tables, out)
            return
        if _is_half(source.dtype):
            source = source.astype(np.float32, order="K")
        self._resample(native(source), out, tables, before, after)

    def _resample(
        self,
        source: NDArray[Any],
        out: NDArray[Any],
        tables: Tables,
        before: ClampedAffine,
        after: ClampedAffine,
    ) -> None:
        walk = plan_walk(source, out, tables, scratch_itemsize=4, condense=True)
        src, dst = reading(source.transpose(walk.axes)), writing(as_bits(out).transpose(walk.axes))
        entries = [frozen(e) for t in walk.tables for e in (t.lower, t.upper, t.weight)]
        with _LAUNCH:
            resample(*src, *dst, walk.sizes, frozen(walk.used), *entries, _constants(before), _constants(after))

    def _pick(self, source: NDArray[Any], tables: Tables, out: NDArray[Any]) -> None:
        walk = plan_walk(source, out, tables, scratch_itemsize=out.dtype.itemsize)
        src, dst = reading(source.transpose(walk.axes)), writing(out.transpose(walk.axes))
        with _LAUNCH:
            pick(*src, *dst, walk.sizes, *(frozen(t.lower) for t in walk.tables))

    def masked_moments(self, array: NDArray[Any], nonzero_only: bool) -> Moments:
        """See `Backend.masked_moments`. Raises ValueError where the array is not [C, X, Y, Z] of real numbers."""
        checks.moments(array)
        if array.size == 0:
            return Moments(0, 0.0, 0.0)
        if _is_half(array.dtype):
            array = array.astype(np.float32, order="K")
        view = array.transpose(np.argsort([-abs(s) for s in array.strides], kind="stable"))
        with _LAUNCH:
            count, mean, squares = statistics.moments(*reading(view), view.shape, nonzero_only)
        return Moments(int(count), float(mean), float(np.sqrt(squares / count))) if count else Moments(0, 0.0, 0.0)

    def masked_affine(self, source: NDArray[Any], out: NDArray[Any], function: ClampedAffine) -> None:
        """See `Backend.masked_affine`. Raises ValueError where shapes or dtypes do not go together."""
        checks.masked_affine(source, out)
        if out.size == 0:
            return
        if source.dtype != np.float32:
            source = source.astype(np.float32, order="K")
        target = out if out.dtype == np.float32 else np.empty_like(source)
        axes = np.argsort([-abs(s) for s in target.strides], kind="stable")
        src, dst = source.transpose(axes), target.transpose(axes)
        with _LAUNCH:
            statistics.affine_nonzero(*reading(src), *writing(dst), dst.shape, _constants(function))
        if target is not out:
            out[...] = target

    def interpolate(self, source: NDArray[Any], out: NDArray[Any], tables: Sequence[LineTable]) -> None:
        """out [I, J, K] = source [I', J', K'] read linearly through one table per axis, in float64.

        Beside the protocol, for the library: any real dtype, and the result of every voxel is that of SciPy's order 1
        to the last bit. Integers are rounded, halves away from zero; unsigned ones are clipped to their range.
        """
        source = source.view(np.uint8) if source.dtype == np.bool_ else source
        if _is_half(source.dtype):
            source = source.astype(np.float32, order="K")
        rounds = out.dtype.kind in "iu"
        low, high = (0.0, float(np.iinfo(out.dtype).max)) if out.dtype.kind == "u" else (-np.inf, np.inf)
        lines = [frozen(entry) for table in tables for entry in table]
        with _LAUNCH:
            interpolate(*reading(source), *writing(out), out.shape, *lines, rounds, low, high)

    # -- windows -----------------------------------------------------------------------------------
    def gather(self, volume: NDArray[Any], starts: Sequence[Start], slot: NDArray[Any], fill: float) -> None:
        """See `Backend.gather`. Raises ValueError where shapes or dtypes do not go together."""
        checks.gather(volume, starts, slot)
        size = volume.shape[1:]
        roi = slot.shape[2:]
        for n, start in enumerate(starts):
            inside = clip(start, roi, size)
            for part in hanging_parts(inside, roi):
                slot[n][(slice(None), *part)] = fill
            if inside is not None:
                source = as_bits(volume)[(slice(None), *inside.grid)]
                target = as_bits(slot)[(n, slice(None), *inside.window)]
                with _LAUNCH:
                    windows.copy_box(*reading(source), *writing(target), source.shape)

    def blend(
        self,
        slot: NDArray[Any],
        starts: Sequence[Start],
        repeats: Sequence[int],
        importance: NDArray[Any] | None,
        ring: RollingSums,
    ) -> None:
        """See `Backend.blend`: sums += (repeats · importance) · slot, every operation rounded to float32.

        Raises ValueError where shapes or dtypes do not go together, or a window is longer than the ring.
        """
        checks.blend(slot, starts, repeats, importance, ring)
        heights = ring.sums.shape[1:]
        for n, start in enumerate(starts):
            inside = clip(start, slot.shape[2:], ring.shape)
            if inside is None:
                continue
            for in_grid, in_ring in ring_boxes(inside.grid, heights):
                in_window = shifted(in_grid, start)
                values = as_bits(slot)[(n, slice(None), *in_window)]
                sums = ring.sums[(slice(None), *in_ring)]
                weights = reading(_ONE if importance is None else importance[in_window])
                times = np.float32(repeats[n])
                weighted = importance is not None
                with _LAUNCH:
                    windows.add_box(*reading(values), *writing(sums), values.shape, times, weighted, *weights)
                if ring.weights is not None:
                    self._weigh(ring.weights[in_ring], times, None if importance is None else importance[in_window])

    def _weigh(self, total: NDArray[Any], times: np.float32, importance: NDArray[Any] | None) -> None:
        """total += times · importance, both [I, J, K] float32."""
        if importance is None:
            total += times
            return
        values, sums = importance[np.newaxis], total[np.newaxis]
        with _LAUNCH:
            windows.add_box(*reading(values), *writing(sums), values.shape, times, False, *reading(_ONE))

    # -- finish ------------------------------------------------------------------------------------
    def finish_argmax(self, ring: RollingSums, low: Start, high: Start, labels: NDArray[Any]) -> None:
        """See `Backend.finish_argmax`. Compares with > from channel 0 on: a NaN behind channel 0 never wins.

        Raises ValueError where the box leaves the grid or is longer than the ring, or labels do not fit
        their dtype.
        """
        checks.labels(ring.sums.shape[0], ring.shape, labels)
        for in_grid, in_ring in checks.box(ring, low, high):
            sums = ring.sums[(slice(None), *in_ring)]
            with _LAUNCH:
                self._nan_scores += finish.argmax_box_and_clear(*writing(sums), *writing(labels[in_grid]), sums.shape)
            if ring.weights is not None:
                ring.weights[in_ring] = 0

    def finish_scores(
        self,
        ring: RollingSums,
        low: Start,
        high: Start,
        counts: Sequence[NDArray[np.float32]],
        scores: NDArray[Any],
    ) -> None:
        """See `Backend.finish_scores`; a voxel of weight 0 becomes NaN or infinite, as 0/0 and x/0 are.

        Raises ValueError where the box leaves the grid or is longer than the ring, or shapes do not agree.
        """
        checks.scores(ring, counts, scores)
        self._finish_means(ring, low, high, counts, None, scores)

    def finish_masks(
        self,
        ring: RollingSums,
        low: Start,
        high: Start,
        counts: Sequence[NDArray[np.float32]],
        cuts: NDArray[np.float32],
        masks: NDArray[Any],
    ) -> None:
        """See `Backend.finish_masks`.

        Raises ValueError where the box leaves the grid or is longer than the ring, or shapes do not agree.
        """
        checks.masks(ring, counts, cuts, masks)
        self._finish_means(ring, low, high, counts, frozen(np.asarray(cuts, np.float32)), masks)

    def _finish_means(
        self,
        ring: RollingSums,
        low: Start,
        high: Start,
        counts: Sequence[NDArray[np.float32]],
        cuts: NDArray[np.float32] | None,
        out: NDArray[Any],
    ) -> None:
        for in_grid, in_ring in checks.box(ring, low, high):
            sums = ring.sums[(slice(None), *in_ring)]
            target = out[(slice(None), *in_grid)]
            if ring.weights is not None:
                total = ring.weights[in_ring]
                with _LAUNCH:
                    self._nan_scores += finish.weighted_mean_box_and_clear(
                        *writing(sums), *writing(total), *writing(target), sums.shape, cuts
                    )
                continue
            parts = [frozen(np.asarray(c, np.float32)[s]) for c, s in zip(counts, in_grid, strict=True)]
            with _LAUNCH:
                self._nan_scores += finish.mean_box_and_clear(
                    *writing(sums), *writing(target), sums.shape, *parts, cuts
                )

    def take_nan_scores(self) -> int:
        """See `Backend.take_nan_scores`."""
        found, self._nan_scores = self._nan_scores, 0
        return found

    def argmax(self, scores: NDArray[Any], labels: NDArray[Any]) -> None:
        """See `Backend.argmax`. Compares as `finish_argmax` does; scores of any real dtype.

        Raises ValueError where shapes do not agree or labels do not fit their dtype.
        """
        if scores.ndim != 4 or scores.dtype.kind not in "iuf":
            raise ValueError(f"scores must be real [K, X, Y, Z], found {scores.dtype} {scores.shape}")
        checks.labels(scores.shape[0], scores.shape[1:], labels)
        if labels.size == 0:
            return
        if _is_half(scores.dtype):
            scores = scores.astype(np.float32)
        with _LAUNCH:
            finish.argmax_box(*reading(scores), *writing(labels), scores.shape)

    # -- labels ------------------------------------------------------------------------------------
    def resample_labels(self, labels: NDArray[Any], tables: Tables, out: NDArray[Any]) -> None:
        """See `Backend.restore`. Raises ValueError where tables interpolate or shapes or dtypes do not agree."""
        source, target = labels[np.newaxis], out[np.newaxis]
        checks.resample(source, target, tables)
        checks.integer_resample(source, target, tables, ClampedAffine(), ClampedAffine())
        if out.size:
            self._pick(source, tables, target)

    def restore_argmax(self, scores: NDArray[Any], tables: Tables, labels: NDArray[Any]) -> None:
        """See `Backend.restore_argmax`. Compares as `finish_argmax` does; NaN scores are not counted.

        Raises ValueError where shapes, dtypes and tables do not go together, or labels do not fit their dtype.
        """
        checks.restore_argmax(scores, tables, labels)
        if labels.size == 0:
            return
        # a tile of p holds a channel's plane, the best scores and their channels
        walk = plan_walk(scores, labels[np.newaxis], tables, scratch_itemsize=12, condense=True)
        src, dst = reading(scores.transpose(walk.axes)), writing(labels[np.newaxis].transpose(walk.axes)[0])
        entries = [frozen(e) for t in walk.tables for e in (t.lower, t.upper, t.weight)]
        with _LAUNCH:
            restore_argmax(*src, *dst, scores.shape[0], walk.sizes[1:], frozen(walk.used), *entries)

    def largest_components(
        self, labels: NDArray[Any], connectivity: int, only: Sequence[int] | None, out: NDArray[Any]
    ) -> None:
        """See `Backend.largest_components`. Raises ValueError where shapes, dtypes or the connectivity do not fit."""
        checks.components(labels, connectivity, out)
        if labels.size == 0:
            return
        with _LAUNCH:
            found = Components(labels, connectivity)
            found.choose(found.kept(only), writing(found.seen(out)))

    def histogram(self, labels: NDArray[Any]) -> NDArray[np.int64]:
        """See `Backend.histogram`; length 0 where there are no voxels."""
        if labels.dtype not in (np.uint8, np.uint16):
            raise ValueError(f"labels must be uint8 or uint16, found {labels.dtype}")
        if labels.size == 0:
            return np.zeros(0, np.int64)
        flat = reading(labels).data
        if flat.size != labels.size:
            flat = frozen(labels.ravel(order="K"))
        with _LAUNCH:
            counts: NDArray[np.int64] = count_labels(flat, 1 << 8 * labels.dtype.itemsize)
        return counts[: int(np.flatnonzero(counts)[-1]) + 1]

    # -- masks -------------------------------------------------------------------------------------
    def threshold(self, source: NDArray[Any], out: NDArray[Any], value: float) -> None:
        """See `Backend.threshold`. Raises ValueError where shapes or dtypes do not go together."""
        checks.threshold(source, out)
        np.greater(source, checks.float32(value), out=out)

    def lookup(self, labels: NDArray[Any], table: NDArray[np.uint8], out: NDArray[Any]) -> None:
        """See `Backend.lookup`. Raises ValueError where shapes or dtypes do not go together."""
        checks.lookup(labels, table, out)
        if out.size == 0:
            return
        axes = _slowest_first(out)
        src, dst = labels.transpose(axes), out.transpose(axes)
        with _LAUNCH:
            look_up(*reading(src), frozen(table), *writing(dst), dst.shape)

    def occupied_planes(self, array: NDArray[Any], value: float) -> OccupiedPlanes:
        """See `Backend.extent`; plane by plane. Raises ValueError where the array is not real [C, X, Y, Z]."""
        checks.occupied_planes(array)
        axes, constant = _slowest_first(array), checks.float32(value)
        turned = array.transpose(axes)
        held = [np.zeros(n, np.bool_) for n in turned.shape[1:]]
        for i in range(len(held[0])):
            plane = np.any(turned[:, i] > constant, axis=0)
            held[0][i] = plane.any()
            held[1] |= plane.any(axis=1)
            held[2] |= plane.any(axis=0)
        x, y, z = (held[axes.index(a) - 1] for a in (1, 2, 3))
        return x, y, z


def _is_half(dtype: np.dtype[Any]) -> bool:
    """float16 of either byte order."""
    return dtype.kind == "f" and dtype.itemsize == 2


def _slowest_first(array: NDArray[Any]) -> tuple[int, int, int, int]:
    """Channels, then the axes from the greatest step in memory to the smallest; single samples first."""
    i, j, k = sorted((1, 2, 3), key=lambda a: (array.shape[a] > 1, -abs(array.strides[a]), a))
    return (0, i, j, k)


def _constants(function: ClampedAffine) -> tuple[np.float32, np.float32, np.float32, np.float32]:
    """(scale, shift, low, high); what float32 cannot hold becomes infinite."""
    with np.errstate(over="ignore"):
        return (
            np.float32(function.scale),
            np.float32(function.shift),
            np.float32(function.low),
            np.float32(function.high),
        )


def _out_of_memory(shape: Sequence[int], dtype: DTypeLike) -> ResourceError:
    size = int(np.prod([int(n) for n in shape], dtype=object)) * np.dtype(dtype).itemsize
    return ResourceError(
        f"cannot allocate {size >> 20} MiB of host memory, {free_host_bytes() >> 20} MiB are free",
        remedy="give the container more memory or use fewer slots",
    )


if TYPE_CHECKING:
    _fulfils: Backend = CpuBackend()
