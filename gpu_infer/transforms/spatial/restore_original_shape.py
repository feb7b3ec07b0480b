"""RestoreOriginalShape: back to the grid on which the source was loaded."""

from __future__ import annotations

from gpu_infer.transforms.arguments import Arguments, Flag, Text
from gpu_infer.transforms.base import Interpolation, Restore


class RestoreOriginalShape(Restore):
    """Undoes every resampling, crop and pad; nearest for labels, linear otherwise. Parts that were cropped
    become 0."""

    name = "RestoreOriginalShape"

    class Args(Arguments):
        field: Text
        src_field: Text
        is_label: Flag = True

    @property
    def fields(self) -> tuple[str, ...]:
        return (self.args.field,)

    @property
    def references(self) -> tuple[str, ...]:
        return (self.args.src_field,)

    @property
    def interpolation(self) -> Interpolation:
        return "nearest" if self.args.is_label else "linear"
