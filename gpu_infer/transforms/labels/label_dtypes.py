"""Dtypes of label maps."""

from __future__ import annotations

import numpy as np

from gpu_infer.backends.base.backend import Array
from gpu_infer.errors import ConfigError
from gpu_infer.transforms.field import DType
from gpu_infer.transforms.transform import Transform


def check_label_dtype(transform: Transform, field: str, labels: Array) -> None:
    """ConfigError if `labels` of `field` are of another dtype than uint8 and uint16."""
    if labels.dtype not in (np.uint8, np.uint16):  # only a custom transform makes these
        raise ConfigError(
            f"{transform.place}: {field!r} holds {labels.dtype}, expected labels of uint8 or uint16",
            remedy="have the transform that makes them give one of these",
        )


def narrowest(label: int) -> DType:
    """The dtype of a label map whose highest label is `label`."""
    return np.dtype(np.uint8 if label <= np.iinfo(np.uint8).max else np.uint16)
