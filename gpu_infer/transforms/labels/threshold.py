"""What ThresholdValues and ThresholdAcrossChannels share."""

from __future__ import annotations

import math
from abc import abstractmethod

import numpy as np
from pydantic import ValidationInfo, field_validator

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.errors import ConfigError
from gpu_infer.transforms.arguments import Flag
from gpu_infer.transforms.base import ChannelMask, FieldsArguments
from gpu_infer.transforms.field import FieldState, Kind
from gpu_infer.transforms.memory_order import empty_like


class ThresholdArguments(FieldsArguments):
    """`sigmoid`: the scores are logits, and the threshold is one for their sigmoid."""

    sigmoid: Flag = False

    @field_validator("threshold", check_fields=False)
    @classmethod
    def _of_a_sigmoid(cls, value: float | tuple[float, ...], info: ValidationInfo) -> float | tuple[float, ...]:
        entries = value if isinstance(value, tuple) else (value,)
        if info.data.get("sigmoid") and not all(0 < entry < 1 for entry in entries):
            raise ValueError("expected a threshold between 0 and 1, the range of a sigmoid")
        return value


class Threshold(ChannelMask):
    """1 where x > threshold, else 0, compared in float32; a NaN gives 0.

    Scores and labels become a uint8 label map, channel by channel; an image stays an image of its dtype.
    """

    @property
    @abstractmethod
    def configured(self) -> tuple[float, ...]:
        """The thresholds as configured: one for all channels, or one per channel."""

    @property
    def takes_sigmoid(self) -> bool:
        return bool(self.args.sigmoid)

    def after_sigmoid(self) -> Threshold | None:
        """With `sigmoid`, for thresholds between 0 and 1: a sigmoid exceeds others always or never."""
        is_own = type(self).thresholds is Threshold.thresholds  # a custom subclass may compute them otherwise
        if self.args.sigmoid or not is_own or not all(0 < threshold < 1 for threshold in self.configured):
            return None
        of_logits = type(self)(**{**self.args.model_dump(), "sigmoid": True})
        of_logits.where = self.where
        return of_logits

    @property
    def thresholds(self) -> tuple[float, ...]:
        return tuple(_logit(t) for t in self.configured) if self.args.sigmoid else self.configured

    @property
    def channels(self) -> int | None:
        return len(self.configured) if len(self.configured) > 1 else None

    def outcome(self, kind: Kind) -> Kind:
        return "image" if kind == "image" else "labels"

    def trace(self, field: FieldState) -> None:
        if self.args.sigmoid and field.kind != "scores":
            holds = "an image" if field.kind == "image" else "labels"
            raise ConfigError(
                f"{self.place}: takes the sigmoid of scores, {field.name!r} holds {holds}", remedy="leave sigmoid out"
            )
        if field.kind != "image":
            field.dtype = np.dtype(np.uint8)

    def apply(self, array: Array, field: FieldState, backend: Backend) -> Array:
        self.trace(field)
        out = empty_like(array, field.dtype, backend)
        if not self.channels:
            backend.threshold(array, out, self.thresholds[0])
            return out
        for channel, threshold in enumerate(self.thresholds):
            one = slice(channel, channel + 1)
            backend.threshold(array[one], out[one], threshold)
        return out


def _logit(threshold: float) -> float:
    """log(t / (1 − t)), rounded down to a float32: for every float32 x, 1 / (1 + exp(−x)) > t if x is greater."""
    exact = math.log(threshold) - math.log1p(-threshold)
    logit = np.float32(exact)
    # NumPy would round a float that is compared with a float32
    return float(logit if float(logit) <= exact else np.nextafter(logit, np.float32(-np.inf)))
