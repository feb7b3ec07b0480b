"""Operations on arrays of any dtype with up to eight axes, for the drop-ins of `gpu_infer.compat`; on the GPU only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends import dtypes
from gpu_infer.backends.gpu import kernel_arguments as arguments
from gpu_infer.backends.gpu.operations import Operations
from gpu_infer.backends.layout import code, output, pointer
from gpu_infer.backends.types import DeviceArray, HostArray

MOST_WEIGHTED = 4
"""Axes that one launch interpolates along."""

CONVERTED = {"u1_f4", "i2_f4", "u2_f4", "f2_f4", "f8_f4", "f4_f2", "f4_f8", "f4_u1"}
"""Conversions with a kernel of their own in convert.cu, source before output."""

_WARPS, _COLUMNS = 8, 2048
"""Of arrays.cuh: warps per block, and outputs of a warp along the last axis."""


@dataclass(frozen=True)
class IndexLine:
    """The source indices of one output axis, on the device.

    entries   int64 [n] source indices, −1 for a constant sample and −2 for a constant output; for interpolated axes
              followed by int64 [n] upper neighbours and float64 [n] weights
    size      number of outputs
    first     index of the first output in `entries`
    weighted  whether it interpolates
    """

    entries: DeviceArray
    size: int
    first: int = 0
    weighted: bool = False

    def window(self, first: int, size: int) -> IndexLine:
        """Outputs `first` … `first + size` of an axis without weights."""
        return IndexLine(self.entries, size, self.first + first)

    @property
    def pointers(self) -> tuple[int, int, int]:
        base = pointer(self.entries) + 8 * self.first
        return (base, base + 8 * self.size, base + 16 * self.size) if self.weighted else (base, 0, 0)


@dataclass
class _Axis:
    pointers: tuple[int, int, int]
    read: int
    written: int
    size: int
    rank: int


class ArrayOperations(Operations):
    def index_line(self, lower: HostArray, upper: Any = None, weight: Any = None) -> IndexLine:
        """A table on the device; `upper` and `weight` for an axis that interpolates."""
        parts = [np.asarray(lower, np.int64)]
        if weight is not None:
            parts += [np.asarray(upper, np.int64), np.asarray(weight, np.float64).view(np.int64)]
        with self._device.section("index_line"):
            return IndexLine(self._device.small_upload(np.concatenate(parts)), len(lower), 0, weight is not None)

    def take(self, source: DeviceArray, out: DeviceArray, lines: Sequence[IndexLine | None], fill: Any = 0) -> None:
        """out = source read through one line per axis (None: as it is), bit by bit; `fill` if an index is negative.

        Raises ValueError unless both have one dtype of up to 8 bytes, byte order included.
        """
        if source.dtype != out.dtype or source.dtype.itemsize not in (1, 2, 4, 8):
            raise ValueError(f"take copies one dtype of 1, 2, 4 or 8 bytes, found {source.dtype} and {out.dtype}")
        bits = int(np.array(fill).astype(source.dtype).view(f"u{source.dtype.itemsize}"))
        self._run(f"take_{source.dtype.itemsize}", source, out, lines, pointer(out), {"bits": bits})

    def convert(self, source: DeviceArray, out: DeviceArray, *, rounds: bool = False) -> None:
        """out = source, broadcast, in out's dtype. Raises ValueError if shapes or dtypes do not agree.

        rounds  to integers: half away from zero and unsigned ones clipped, as SciPy does; else truncated, as NumPy does
        """
        self.linear(source, out, [None] * out.ndim, 0.0, rounds=rounds)

    def linear(
        self,
        source: DeviceArray,
        out: DeviceArray,
        lines: Sequence[IndexLine | None],
        constant: complex,
        *,
        rounds: bool = True,
    ) -> None:
        """out = source interpolated through one line per axis (None: as it is), in float64, in SciPy's order.

        Complex numbers part by part. Raises ValueError for other dtypes, and for more than 4 interpolated axes.
        """
        parts: list[tuple[int, np.dtype[Any], int, np.dtype[Any], float]] = []
        if out.dtype.kind == "c":
            written = _half(out.dtype)
            read = _half(source.dtype) if source.dtype.kind == "c" else source.dtype
            parts.append((0, read, 0, written, np.real(constant)))
            if source.dtype.kind == "c":
                parts.append((read.itemsize, read, written.itemsize, written, np.imag(constant)))
            else:
                raise ValueError(f"a {source.dtype} array is not written to a {out.dtype} one on the device")
        elif source.dtype.kind == "c":
            raise ValueError(f"a {source.dtype} array does not fit a {out.dtype} one")
        else:
            parts.append((0, source.dtype, 0, out.dtype, float(np.real(constant))))
        weighted = sum(line is not None and line.weighted for line in lines)
        if weighted > MOST_WEIGHTED:
            raise ValueError(f"{weighted} axes are interpolated, on the device {MOST_WEIGHTED} at most")
        target = output(out)
        for at_source, read, at_out, kind, value in parts:
            fields = {
                "constant": value,
                "from": _kind(read),
                "to": _kind(kind),
                "rounds": rounds,
            }
            pair = f"{code(read)}_{code(kind)}"
            plain = pair in CONVERTED and all(line is None for line in lines)
            kernel = f"convert_{pair}" if plain else f"linear_{weighted}"
            self._run(kernel, source, out, lines, target + at_out, fields, at_source, read)

    def divide(
        self,
        sums: DeviceArray,
        out: DeviceArray,
        weights: DeviceArray | None,
        counts: Sequence[NDArray[np.float32]],
        places: Sequence[NDArray[np.int64]] = (),
    ) -> None:
        """out = sums / weights, in float32; without weights by the product of one count per axis.

        Weights and counts belong to the last axes of the sums. The weights of an index along an axis are those at its
        entry of `places`, which the caller has to keep inside the weights; without `places`, at the same index.

        sums float32, out the same shape in any float dtype, `sums` itself included.
        """
        if sums.size == 0:
            return
        with self._device.section("divide"):
            uploaded = [self._device.small_upload(np.ascontiguousarray(c, np.float32)) for c in counts]
            tables = [self._device.small_upload(np.ascontiguousarray(p, np.int64)) for p in places]
            lead = sums.ndim - (len(counts) if weights is None else weights.ndim)
            rows = []
            for axis, size in enumerate(sums.shape):
                factor = pointer(uploaded[axis - lead]) if weights is None and axis >= lead else 0
                step = weights.strides[axis - lead] if weights is not None and axis >= lead else 0
                place = pointer(tables[axis - lead]) if tables and axis >= lead else 0
                rows.append((factor, place, sums.strides[axis], out.strides[axis], step, size))
            _few(rows)
            empty = [(0, 0, 0, 0, 0, 1)] * (arguments.MOST_AXES - len(rows))
            packed = arguments.packed(
                arguments.DIVIDE,
                sums=pointer(sums),
                out=output(out),
                weights=0 if weights is None else pointer(weights),
                axis=rows + empty,
                axes=len(rows),
                to=_kind(out.dtype),
            )
            self._device.launch("arrays", "divide", _blocks([row[-1] for row in rows]), packed)

    # -- inside --------------------------------------------------------------------------------------------------
    def _run(
        self,
        kernel: str,
        source: DeviceArray,
        out: DeviceArray,
        lines: Sequence[IndexLine | None],
        target: int,
        fields: dict[str, Any],
        at_source: int = 0,
        read: np.dtype[Any] | None = None,
    ) -> None:
        if out.size == 0:
            return
        with self._device.section(kernel):
            axes = _collapsed(_axes(source, out, lines))
            _few(axes)
            listed = [(*a.pointers, a.read, a.written, a.size, a.rank) for a in axes]
            empty = [(0, 0, 0, 0, 0, 1, -1)] * (arguments.MOST_AXES - len(listed))
            swap = not source.dtype.isnative and not kernel.startswith("take")
            packed = arguments.packed(
                arguments.ARRAYS,
                **{
                    "src": _address(source, read) + at_source,
                    "dst": target,
                    "axis": listed + empty,
                    "axes": len(listed),
                    "constant": 0.0,
                    "bits": 0,
                    "from": 0,
                    "to": 0,
                    "swap": swap,
                    "rounds": 0,
                    **fields,
                },
            )
            module = "convert" if kernel.startswith("convert") else "arrays"
            self._device.launch(module, kernel, _blocks([a.size for a in axes]), packed)


def _address(source: DeviceArray, read: np.dtype[Any] | None) -> int:
    return pointer(source) if source.size or read is None else 0


def _half(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.dtype(f"{dtype.byteorder}f{dtype.itemsize // 2}")


def _kind(dtype: np.dtype[Any]) -> int:
    if code(dtype) not in dtypes.ARRAYS:
        raise ValueError(f"dtype {dtype} has no kernel on the device")
    return dtypes.ARRAYS.index(code(dtype))


def _axes(source: DeviceArray, out: DeviceArray, lines: Sequence[IndexLine | None]) -> list[_Axis]:
    if not source.ndim == out.ndim == len(lines):
        raise ValueError(f"{source.shape}, {out.shape} and {len(lines)} lines do not go together")
    axes, ranks = [], 0
    for n_in, n_out, line, read, written in zip(
        source.shape, out.shape, lines, source.strides, out.strides, strict=True
    ):
        if line is None:
            if n_in not in (n_out, 1):
                raise ValueError(f"{source.shape} does not broadcast to {out.shape}")
            axes.append(_Axis((0, 0, 0), read if n_in == n_out else 0, written, n_out, -1))
            continue
        if line.size != n_out:
            raise ValueError(f"a line of {line.size} for an axis of {n_out}")
        axes.append(_Axis(line.pointers, read, written, n_out, ranks if line.weighted else -1))
        ranks += line.weighted
    return axes


def _collapsed(axes: list[_Axis]) -> list[_Axis]:
    """Axes without those of one sample, contiguous plain ones merged, the output's fastest last."""
    merged: list[_Axis] = []
    for axis in axes:
        plain = axis.pointers == (0, 0, 0)
        if plain and axis.size == 1:
            continue
        before = merged[-1] if merged else None
        contiguous = (
            plain
            and before is not None
            and before.pointers == (0, 0, 0)
            and before.read == axis.read * axis.size
            and before.written == axis.written * axis.size
        )
        if contiguous and before is not None:
            merged[-1] = _Axis(before.pointers, axis.read, axis.written, before.size * axis.size, -1)
        else:
            merged.append(axis)
    if not merged:
        return [_Axis((0, 0, 0), 0, 0, 1, -1)]
    fastest = min(range(len(merged)), key=lambda n: (merged[n].size == 1, abs(merged[n].written)))
    merged.append(merged.pop(fastest))
    return merged


def _few(axes: Sequence[Any]) -> None:
    if len(axes) > arguments.MOST_AXES:
        raise ValueError(f"{len(axes)} axes, on the device {arguments.MOST_AXES} at most")


def _blocks(sizes: Sequence[int]) -> int:
    rows = 1
    for size in sizes[:-1]:
        rows *= size
    return -(-rows * -(-sizes[-1] // _COLUMNS) // _WARPS)
