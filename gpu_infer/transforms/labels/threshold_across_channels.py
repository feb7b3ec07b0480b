"""ThresholdAcrossChannels: compare every channel with its own threshold."""

from __future__ import annotations

from gpu_infer.transforms.arguments import Numbers
from gpu_infer.transforms.labels.threshold import Threshold, ThresholdArguments


class ThresholdAcrossChannels(Threshold):
    """1 where a channel exceeds its threshold, else 0: a uint8 mask per channel, which may overlap.

    One number is for all channels, a list has one per channel. Values are compared in float32; a NaN gives 0, and an
    image stays an image. Several masks are several files: SplitAcrossChannels makes a field of each.
    """

    name = "ThresholdAcrossChannels"

    class Args(ThresholdArguments):
        threshold: Numbers

    @property
    def configured(self) -> tuple[float, ...]:
        thresholds: tuple[float, ...] = self.args.threshold
        return thresholds
