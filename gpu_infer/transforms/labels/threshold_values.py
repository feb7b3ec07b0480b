"""ThresholdValues: 1 above a threshold."""

from __future__ import annotations

from gpu_infer.transforms.arguments import Number
from gpu_infer.transforms.labels.threshold import Threshold, ThresholdArguments


class ThresholdValues(Threshold):
    """1 where x > threshold, else 0 (a NaN gives 0), compared in float32.

    Scores and labels become a uint8 label map, channel by channel; an image stays an image.
    """

    name = "ThresholdValues"

    class Args(ThresholdArguments):
        threshold: Number

    @property
    def configured(self) -> tuple[float, ...]:
        return (self.args.threshold,)
