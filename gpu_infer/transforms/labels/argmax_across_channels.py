"""ArgmaxAcrossChannels: the class with the highest score per voxel."""

from __future__ import annotations

from gpu_infer.backends.base import Array, Backend
from gpu_infer.backends.labels import label_dtype
from gpu_infer.transforms.base import ChannelReduction
from gpu_infer.transforms.field import FieldState


class ArgmaxAcrossChannels(ChannelReduction):
    """[K, X, Y, Z] scores to a [1, X, Y, Z] map of channel indices; the lowest index wins a tie."""

    name = "ArgmaxAcrossChannels"
    finisher = "argmax"

    def trace(self, field: FieldState) -> None:
        field.dtype, field.channels, field.kind = label_dtype(field.channels), 1, "labels"

    def apply(self, array: Array, field: FieldState, backend: Backend) -> Array:
        labels = backend.empty(array.shape[1:], label_dtype(array.shape[0]))
        backend.argmax(array, labels)
        return labels[None]
