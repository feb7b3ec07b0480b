"""ArgmaxAcrossChannels: the class with the highest score per voxel."""

from __future__ import annotations

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.backends.labels import label_dtype
from gpu_infer.errors import ConfigError
from gpu_infer.transforms.base import ChannelReduction
from gpu_infer.transforms.field import FieldState


class ArgmaxAcrossChannels(ChannelReduction):
    """[K, X, Y, Z] scores to a [1, X, Y, Z] map of channel indices; the lowest index wins a tie."""

    name = "ArgmaxAcrossChannels"
    finalizer = "argmax"

    def check_classes(self, classes: int) -> None:
        """ConfigError for a single channel."""
        if classes == 1:
            raise ConfigError(
                f"{self.place}: the model has one output channel, whose argmax is always 0",
                remedy="use ThresholdValues instead",
            )

    def trace(self, field: FieldState) -> None:
        self.check_classes(field.channels)
        field.dtype, field.channels, field.kind = label_dtype(field.channels), 1, "labels"

    def apply(self, array: Array, field: FieldState, backend: Backend) -> Array:
        self.check_classes(field.channels)
        labels = backend.empty(array.shape[1:], label_dtype(array.shape[0]))
        backend.argmax(array, labels)
        return labels[None]
