"""Softmax: probabilities of classes that exclude each other."""

from __future__ import annotations

from gpu_infer.errors import ConfigError
from gpu_infer.transforms.base import Activation


class Softmax(Activation):
    """exp(x) / Σ exp(x) over the channels of each voxel, in float32: see `ScoreOperations.probabilities`."""

    name = "Softmax"
    activation = "softmax"

    def check_classes(self, classes: int) -> None:
        """ConfigError for a single channel."""
        if classes == 1:
            raise ConfigError(
                f"{self.place}: the model has one output channel, whose softmax is always 1",
                remedy="use Sigmoid instead",
            )
