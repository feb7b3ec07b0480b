"""Custom components of test configurations."""

from __future__ import annotations

from typing import Any

from gpu_infer.backends.tables import ClampedAffine
from gpu_infer.transforms.arguments import Number
from gpu_infer.transforms.base import FieldsArguments, Pointwise
from gpu_infer.transforms.field import FieldState


class Times(Pointwise):
    """factor · x"""

    name = "Times"

    class Args(FieldsArguments):
        factor: Number

    def function(self, field: FieldState) -> ClampedAffine:
        return ClampedAffine(scale=self.args.factor)


class Unfinished(Pointwise):
    """Lacks its function."""

    name = "Unfinished"


class Breaks(Times):
    """Raises in its constructor."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        raise RuntimeError("no licence")


class NotOne:
    pass
