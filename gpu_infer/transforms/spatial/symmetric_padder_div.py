"""SymmetricPadderDiv: pad with zeros to a multiple."""

from __future__ import annotations

from gpu_infer.backends.base.backend import Array, Backend, Start
from gpu_infer.transforms.arguments import Triple
from gpu_infer.transforms.base import Barrier, FieldsArguments
from gpu_infer.transforms.copying import copy_voxels
from gpu_infer.transforms.field import FieldState
from gpu_infer.volume.geometry import Shape3


class SymmetricPadderDiv(Barrier):
    """Pads every axis with zeros to the next multiple of `div_int` (one number, or three for X, Y, Z): half of them
    before, the odd one after. RestoreOriginalShape removes them again."""

    name = "SymmetricPadderDiv"
    changes_grid = True

    class Args(FieldsArguments):
        div_int: Triple

    def _padding(self, shape: Shape3) -> tuple[Start, Shape3]:
        """Zeros before, and the padded shape."""
        total = [-n % div for n, div in zip(shape, self.args.div_int, strict=True)]
        x, y, z = (t // 2 for t in total)
        a, b, c = (n + t for n, t in zip(shape, total, strict=True))
        return (x, y, z), (a, b, c)

    def trace(self, field: FieldState) -> None:
        (x, y, z), shape = self._padding(field.shape)
        if shape != field.shape:
            field.windowed((-x, -y, -z), shape)

    def apply(self, array: Array, field: FieldState, backend: Backend) -> Array:
        before, shape = self._padding(field.shape)
        if shape == field.shape:
            return array
        out = backend.zeros((field.channels, *shape), field.dtype.newbyteorder("="))
        window = (slice(None), *(slice(b, b + n) for b, n in zip(before, field.shape, strict=True)))
        copy_voxels(array, out[window], backend)
        self.trace(field)
        return out
