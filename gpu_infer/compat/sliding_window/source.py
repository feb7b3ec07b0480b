"""Cuts windows out of images, in host memory."""

from __future__ import annotations

import math
from contextlib import suppress
from operator import index
from sys import getrefcount
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from gpu_infer.backends.cpu.grid_windows import GridReader
from gpu_infer.backends.dtypes import MODEL
from gpu_infer.compat.arrays import HostArray
from gpu_infer.compat.sliding_window.layout import Group, Layout, Run, Sizes

if TYPE_CHECKING:
    from gpu_infer.backends.cpu.backend import CpuBackend

PAD_MODES: dict[str, Literal["constant", "reflect", "edge", "wrap"]] = {
    "constant": "constant",
    "reflect": "reflect",
    "replicate": "edge",
    "circular": "wrap",
}
"""NumPy's names of `torch.nn.functional.pad`'s modes."""


def padding_constant(windows: Layout, dtype: np.dtype[Any], mode: str, cval: float) -> float:
    """The constant around images of `dtype`, 0 if nothing is padded.

    As in MONAI, integer images take the whole part of `cval`, and a constant that pads nothing can have any value.

    Raises:
        ValueError: An unknown mode, a constant with a mode that has none, or one that `dtype` cannot hold.
    """
    if mode not in PAD_MODES:
        raise ValueError(f"padding_mode: found {mode!r}, expected one of {', '.join(PAD_MODES)}")
    number = _number(cval)
    if mode != "constant" and number != 0:
        raise ValueError(f"cval {number} belongs to padding_mode constant, found {mode}")
    if not windows.pads and not windows.exceeds:
        return 0
    if dtype.kind == "b":
        return number != 0
    is_float = dtype.kind == "f"
    high = float(np.finfo(dtype).max) if is_float else np.iinfo(dtype).max
    low = -high if is_float else np.iinfo(dtype).min
    if not (low <= number <= high or (is_float and (number != number or abs(number) == math.inf))):
        raise ValueError(f"cval: found {number}, expected a number from {low} to {high} for {dtype} images")
    return float(number) if is_float else int(number)


def _number(cval: object) -> float:
    """An int of a whole number of any library, so that all digits of 64-bit integers count, else a float."""
    with suppress(TypeError):
        return index(cval)  # type: ignore[arg-type]
    with suppress(TypeError, ValueError, OverflowError, RuntimeError):  # the last one: tensors of several values
        if not isinstance(cval, (str, bytes)):
            return float(cval)  # type: ignore[arg-type]
    raise ValueError(f"cval: found {cval!r}, expected a number")


def _references(held: list[Any]) -> int:
    """References to the first object of a list. Counted by a call from C: how bytecode counts may change as it runs."""
    return next(map(getrefcount, held))


_ALONE = _references([object()])
"""Without any but that of the list. Not counted at new memory, which a debugger may refer to for a moment."""


class HostWindowSource:
    """Windows of images [B, C, *spatial] of any dtype, padded if they exceed the image.

    Windows inside images of up to three axes are copied by a `GridReader`. Other windows of floats are copied by the
    backend's kernel, which needs no padded images for the modes constant and replicate.
    """

    def __init__(self, backend: CpuBackend, images: HostArray, windows: Layout, mode: str, cval: float) -> None:
        self._backend = backend
        self._windows = windows
        self._fill = padding_constant(windows, images.dtype, mode, cval)
        self._images = images
        self._shift: Sizes = (0,) * len(windows.size)
        self._edge = mode == "replicate" and windows.pads and not windows.exceeds
        simple = mode == "constant" or self._edge or not windows.pads
        self._reader = self._grid_reader()
        self._last: list[HostArray] = []  # at most one
        self._gathers = simple and images.dtype in MODEL and images.dtype.isnative and len(windows.size) <= 3
        if mode != "constant" and windows.pads and not self._gathers:
            around = zip(windows.before, windows.padded, windows.size, strict=True)
            widths = [(0, 0), (0, 0), *((b, p - n - b) for b, p, n in around)]
            self._images = np.pad(images, widths, mode=PAD_MODES[mode])
            self._shift = windows.before

    def _grid_reader(self) -> GridReader | None:
        """For windows inside images of up to three axes."""
        windows = self._windows
        if windows.pads or windows.exceeds or len(windows.size) > 3 or not GridReader.takes(self._images):
            return None
        missing = 3 - len(windows.size)
        images = self._images[(slice(None), slice(None), *(np.newaxis,) * missing)]
        return GridReader(images, np.pad(windows.table, ((0, 0), (missing, 0))), (*(1,) * missing, *windows.roi))

    def take(self, group: Group) -> HostArray:
        """[N, C, *roi] of the group's windows, in memory that no other array refers to."""
        out = self._unshared(group.windows)
        if self._reader is None and not self._gathers:
            self._copy(group, out)
            return out
        at = 0
        for run in group.runs:
            part = out[at : at + run.windows]
            if self._reader is not None:
                self._reader.read(run.image, run.first, part)
            else:
                self._gather(run, part)
            at += run.windows
        return out

    def _unshared(self, windows: int) -> HostArray:
        """Memory for windows: that of the last ones if nothing refers to it any more, else new memory.

        The system clears the pages of new memory, which can take longer than the windows. A view of an array refers to
        the array that owns the memory, and so does a tensor, so that the count of references shows whether the caller
        still has any of the last windows.
        """
        if not self._last or len(self._last[0]) < windows or _references(self._last) != _ALONE:
            self._last = [np.empty((windows, self._images.shape[1], *self._windows.roi), self._images.dtype)]
        return self._last[0][:windows]

    def _gather(self, run: Run, out: HostArray) -> None:
        """By the operator's kernel."""
        missing = (np.newaxis,) * (3 - len(self._windows.roi))
        zeros = (0,) * len(missing)
        starts = [(*zeros, *start) for start in self._windows.starts[run.first : run.first + run.windows]]
        volume = self._images[run.image][(slice(None), *missing)]
        slot, fill = out[(slice(None), slice(None), *missing)], None if self._edge else self._fill
        self._backend.gather(volume, [(x, y, z) for x, y, z in starts], slot, fill)

    def _copy(self, group: Group, out: HostArray) -> None:
        roi = self._windows.roi
        for n, (image, window) in enumerate(group.each()):
            start = [s + shift for s, shift in zip(self._windows.starts[window], self._shift, strict=True)]
            inside = [
                (max(s, 0), min(s + r, size)) for s, r, size in zip(start, roi, self._images.shape[2:], strict=True)
            ]
            if any(high - low < r for (low, high), r in zip(inside, roi, strict=True)):
                out[n] = self._fill
            box = (slice(None), *(slice(low, high) for low, high in inside))
            target = (slice(None), *(slice(low - s, high - s) for (low, high), s in zip(inside, start, strict=True)))
            out[n][target] = self._images[image][box]
