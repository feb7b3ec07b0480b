"""A custom transform that the configuration names without the folder `transforms`."""

import numpy as np

from gpu_infer.backends.tables import ClampedAffine
from gpu_infer.transforms.arguments import Number
from gpu_infer.transforms.base import Barrier, FieldsArguments


class StrongestAbove(Barrier):
    """1 + the channel with the highest score, or 0 where no score reaches the threshold: labels without a background
    channel."""

    name = "StrongestAbove"
    makes_labels = True
    needs_scores = True

    class Args(FieldsArguments):
        threshold: Number = 0.5

    def trace(self, field):
        field.channels, field.dtype, field.kind = 1, np.dtype(np.uint8), "labels"

    def scratch_bytes(self, field):
        return 4 * (1 + field.channels) * int(np.prod(field.shape))

    def apply(self, array, field, backend):
        shape = array.shape[1:]
        scores = backend.empty((1 + array.shape[0], *shape), np.float32)
        below = float(np.nextafter(np.float32(self.args.threshold), np.float32(-np.inf)))
        backend.resample(array[:1], scores[:1], None, ClampedAffine(low=below, high=below), ClampedAffine())
        backend.resample(array, scores[1:], None, ClampedAffine(), ClampedAffine())
        labels = backend.empty(shape, np.uint8)
        backend.argmax(scores, labels)  # the lowest index wins a tie: background only if every score is below
        return labels[None]
