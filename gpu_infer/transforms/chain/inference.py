"""The inference between both chains: which field the model reads and makes, and what its result is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from gpu_infer.backends.labels import label_dtype
from gpu_infer.choices import ScoresActivation
from gpu_infer.transforms.base import Activation, Barrier, Branch, ChannelMask, ChannelReduction, Transform
from gpu_infer.transforms.chain.stage import check_channels
from gpu_infer.transforms.field import DType, FieldState

FLOAT32: DType = np.dtype(np.float32)

FinalizerName = Literal["argmax", "masks", "scores"]
"""What the inferer returns: labels [X, Y, Z], uint8 masks [K, X, Y, Z] or float32 scores [K, X, Y, Z]."""


Finalized = ChannelReduction | ChannelMask | Activation


@dataclass(frozen=True)
class Inference:
    """The model's input field becomes the result field.

    finalized  the post-transform that the accumulator does row by row, if any
    finalizer  what the inferer returns because of it
    inferer    name of a custom inferer, which has no accumulator
    """

    input_field: str
    result_field: str
    finalized: Finalized | None
    finalizer: FinalizerName
    inferer: str = ""

    def line(self) -> str:
        """Its line in a plan."""
        if self.inferer:
            result = f"by {self.inferer}" + (f", {self.finalized.summary()}" if self.finalized else "")
        else:
            result = (
                f"{self.finalized.summary()} by the accumulator, row by row" if self.finalized else "averaged scores"
            )
        return f"inference: {self.input_field} -> {self.result_field}, {result}"

    def thresholds(self, classes: int) -> tuple[float, ...]:
        """Threshold of each of `classes` channels; ValueError if `finalizer` is not "masks"."""
        if not isinstance(self.finalized, ChannelMask):
            raise ValueError(f"only masks have thresholds, this pipeline's inferer delivers {self.finalizer}")
        thresholds = self.finalized.thresholds
        return thresholds if len(thresholds) > 1 else thresholds * classes

    @property
    def activation(self) -> ScoresActivation | None:
        """What the accumulator makes of the scores, if `finalizer` is "scores"."""
        return self.finalized.activation if isinstance(self.finalized, Activation) else None

    def result(self, origin: FieldState, classes: int) -> FieldState:
        """State of the result field for a model with `classes` output channels; `origin`: the model's input."""
        dtypes = {"argmax": label_dtype(classes), "masks": np.dtype(np.uint8), "scores": FLOAT32}
        return origin.copy(
            name=self.result_field,
            channels=1 if self.finalizer == "argmax" else classes,
            dtype=dtypes[self.finalizer],
            kind="scores" if self.finalizer == "scores" else "labels",
            channel_axis="first",
            properties={},
            array=None,
        )

    def check_classes(self, result: FieldState, classes: int) -> None:
        """ConfigError if the accumulator cannot make `result` of `classes` channels."""
        if isinstance(self.finalized, (ChannelReduction, Activation)):
            self.finalized.check_classes(classes)
        elif self.finalized is not None:
            check_channels(self.finalized, result)


def finalized_transform(post: Iterable[Transform], field: str) -> Finalized | None:
    """The argmax, the masks or the probabilities that the accumulator can make, if the chain begins with them.

    Nearest-neighbour changes of grid can be before them: they copy whole columns of channels, so taking the argmax
    first gives the same labels (crops put back into a background of zero scores give label 0 either way). The same
    holds for masks, unless a score of zero is above a threshold. Probabilities of zero scores are not zero.
    """
    restored = False
    for transform in post:
        if field in transform.references and isinstance(transform, (Barrier, Branch)):
            return None
        if field not in transform.fields or not transform.touches_voxels:
            continue
        if isinstance(transform, (ChannelReduction, ChannelMask)) and transform.finalizer is not None:
            changes_zeros = isinstance(transform, ChannelMask) and min(transform.thresholds) < 0
            return None if transform.fields != (field,) or (restored and changes_zeros) else transform
        if isinstance(transform, Activation):
            return None if transform.fields != (field,) or restored else transform
        if not transform.copies_voxels:
            return None
        restored = restored or transform.restores_grid
    return None
