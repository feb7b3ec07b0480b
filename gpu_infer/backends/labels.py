"""The dtype of label maps."""

from __future__ import annotations

from typing import Any

import numpy as np


def label_dtype(classes: int) -> np.dtype[Any]:
    """uint8 for up to 256 classes, uint16 beyond: the narrowest that holds labels 0 … classes − 1."""
    return np.dtype(np.uint8 if classes <= 256 else np.uint16)
