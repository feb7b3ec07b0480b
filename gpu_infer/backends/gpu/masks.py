"""Masks: voxels above a value, label ids, and where along the axes such voxels lie."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends.base import checks
from gpu_infer.backends.base.backend import Array, OccupiedPlanes
from gpu_infer.backends.gpu import kernel_arguments as arguments
from gpu_infer.backends.gpu.operations import ROWS, Operations
from gpu_infer.backends.gpu.packs import packed_lines
from gpu_infer.backends.layout import code, fastest_last, output, pointer, reordered, steps


class MaskOperations(Operations):
    def threshold(self, source: Array, out: Array, value: float) -> None:
        """See `Backend.threshold`. Raises ValueError where shapes or dtypes do not go together."""
        checks.threshold(source, out)
        if out.size == 0:
            return
        with self._device.section("threshold"):
            order, width = fastest_last(out), out.dtype.itemsize
            packed = arguments.packed(
                arguments.THRESHOLD,
                source=pointer(source),
                out=output(out),
                source_strides=reordered(steps(source), order),
                out_strides=reordered(steps(out), order),
                size=reordered(out.shape, order),
                one=int(np.ones((), out.dtype).view(f"u{width}")),
                value=checks.float32(value),
                swap=not source.dtype.isnative,
            )
            blocks = _blocks(reordered(out.shape, order))
            self._device.launch("masks", f"threshold_{code(source.dtype)}_{width}", blocks, packed)

    def lookup(self, labels: Array, table: NDArray[np.uint8], out: Array) -> None:
        """See `Backend.lookup`. Raises ValueError where shapes or dtypes do not go together."""
        checks.lookup(labels, table, out)
        if out.size == 0:
            return
        with self._device.section("lookup"):
            uploaded = self._device.small_upload(np.ascontiguousarray(table))
            kind = code(labels.dtype)
            launches = packed_lines(labels, out)
            for lines in launches:
                packed = arguments.packed(
                    arguments.LOOKUP,
                    labels=pointer(labels) + lines.source_offset * labels.dtype.itemsize,
                    table=pointer(uploaded),
                    out=output(out) + lines.out_offset,
                    labels_strides=lines.source_strides,
                    out_strides=lines.out_strides,
                    size=lines.size,
                )
                self._device.launch("masks", f"lookup_packs_{kind}", _blocks(lines.size), packed)
            if launches:
                return
            order = fastest_last(out)
            size = reordered(out.shape, order)
            packed = arguments.packed(
                arguments.LOOKUP,
                labels=pointer(labels),
                table=pointer(uploaded),
                out=output(out),
                labels_strides=reordered(steps(labels), order),
                out_strides=reordered(steps(out), order),
                size=size,
            )
            self._device.launch("masks", f"lookup_{kind}", _blocks(size), packed)

    def occupied_planes(self, array: Array, value: float) -> OccupiedPlanes:
        """See `Backend.extent`. Raises ValueError where the array is not [C, X, Y, Z] of real numbers."""
        checks.occupied_planes(array)
        x, y, z = array.shape[1:]
        if array.size == 0:
            return np.zeros(x, np.bool_), np.zeros(y, np.bool_), np.zeros(z, np.bool_)
        with self._device.section("extent"):
            order = fastest_last(array)
            held = self._device.zeroed((x + y + z,), np.uint8)
            begins = [pointer(held) + offset for offset in (0, x, x + y)]
            packed = arguments.packed(
                arguments.EXTENT,
                source=pointer(array),
                **{f"held_{name}": begins[axis] for name, axis in zip("ijk", order, strict=True)},
                source_strides=reordered(steps(array), order),
                size=reordered(array.shape, order),
                value=checks.float32(value),
                swap=not array.dtype.isnative,
            )
            self._device.launch("masks", f"extent_{code(array.dtype)}", _blocks(reordered(array.shape, order)), packed)
            found = self._device.small_download(held).astype(np.bool_)
        return found[:x], found[x : x + y], found[x + y :]


def _blocks(size: tuple[int, ...]) -> int:
    channels, i, j, _ = size
    return channels * i * -(-j // ROWS["masks"])
