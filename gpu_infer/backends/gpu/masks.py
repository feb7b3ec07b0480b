"""Masks: voxels above a value, label ids, and the planes along the axes that contain such voxels, on the GPU."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends.base.masks import LabelTable, MaskOperations
from gpu_infer.backends.gpu import kernel_arguments as arguments
from gpu_infer.backends.gpu.operations import ROWS, Operations
from gpu_infer.backends.gpu.packs import packed_lines
from gpu_infer.backends.layout import code, fastest_last, output, pointer, reordered, steps
from gpu_infer.backends.types import DeviceArray, OccupiedPlanes


class GpuMaskOperations(Operations, MaskOperations):
    def _threshold(self, source: DeviceArray, out: DeviceArray, value: np.float32 | None) -> None:
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
                value=0 if value is None else value,
                nonzero=value is None,
                swap=not source.dtype.isnative,
            )
            blocks = _blocks(reordered(out.shape, order))
            self._device.launch("masks", f"threshold_{code(source.dtype)}_{width}", blocks, packed)

    def _lookup(self, labels: DeviceArray, table: LabelTable, out: DeviceArray) -> None:
        with self._device.section("lookup"):
            uploaded = self._device.small_upload(np.ascontiguousarray(table))
            kind = code(labels.dtype)
            launches = packed_lines(labels, out) if out.dtype.itemsize == 1 else []
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
            packed, size = _lookup_arguments(labels, uploaded, out)
            wide = "" if out.dtype.itemsize == 1 else "_2"
            self._device.launch("masks", f"lookup_{kind}{wide}", _blocks(size), packed)

    def _overlay(self, labels: DeviceArray, table: LabelTable, out: DeviceArray) -> None:
        with self._device.section("overlay"):
            uploaded = self._device.small_upload(np.ascontiguousarray(table))
            packed, size = _lookup_arguments(labels, uploaded, out)
            self._device.launch("masks", f"overlay_{code(labels.dtype)}_{out.dtype.itemsize}", _blocks(size), packed)

    def _merge_masks(self, masks: DeviceArray, values: NDArray[np.uint16], out: DeviceArray, over: bool) -> None:
        with self._device.section("merge_masks"):
            order = fastest_last(out)
            size = reordered(out.shape, order)
            uploaded = self._device.small_upload(values)
            packed = arguments.packed(
                arguments.MERGE,
                masks=pointer(masks),
                values=pointer(uploaded),
                out=output(out),
                masks_strides=reordered(steps(masks), order),
                out_strides=reordered(steps(out), order),
                size=size,
                channels=masks.shape[0],
                over=over,
            )
            kind = f"merge_{code(masks.dtype)}_{out.dtype.itemsize}"
            self._device.launch("masks", kind, _blocks((1, *size)), packed)

    def _repaint(self, mask: DeviceArray, label: int, labels: DeviceArray) -> None:
        with self._device.section("repaint"):
            order = fastest_last(labels)
            size = reordered(labels.shape, order)
            packed = arguments.packed(
                arguments.REPAINT,
                mask=pointer(mask),
                labels=output(labels),
                mask_strides=reordered(steps(mask), order),
                labels_strides=reordered(steps(labels), order),
                size=size,
                label=label,
            )
            self._device.launch("masks", f"repaint_{code(labels.dtype)}", _blocks((1, *size)), packed)

    def _occupied_planes(self, array: DeviceArray, value: np.float32 | None) -> OccupiedPlanes:
        x, y, z = array.shape[1:]
        with self._device.section("extent"):
            order = fastest_last(array)
            flags = self._device.zeroed((x + y + z,), np.uint8)
            begins = [pointer(flags) + offset for offset in (0, x, x + y)]
            packed = arguments.packed(
                arguments.EXTENT,
                source=pointer(array),
                **{f"held_{name}": begins[axis] for name, axis in zip("ijk", order, strict=True)},
                source_strides=reordered(steps(array), order),
                size=reordered(array.shape, order),
                value=0 if value is None else value,
                nonzero=value is None,
                swap=not array.dtype.isnative,
            )
            self._device.launch("masks", f"extent_{code(array.dtype)}", _blocks(reordered(array.shape, order)), packed)
            occupied = self._device.small_download(flags).astype(np.bool_)
        return occupied[:x], occupied[x : x + y], occupied[x + y :]


def _lookup_arguments(
    labels: DeviceArray, table: DeviceArray, out: DeviceArray
) -> tuple[NDArray[np.void], tuple[int, ...]]:
    """Arguments of a kernel that looks each label up, and the size that its threads cover."""
    order = fastest_last(out)
    size = reordered(out.shape, order)
    packed = arguments.packed(
        arguments.LOOKUP,
        labels=pointer(labels),
        table=pointer(table),
        out=output(out),
        labels_strides=reordered(steps(labels), order),
        out_strides=reordered(steps(out), order),
        size=size,
    )
    return packed, size


def _blocks(size: tuple[int, ...]) -> int:
    channels, i, j, _ = size
    return channels * i * -(-j // ROWS["masks"])
