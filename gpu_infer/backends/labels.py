"""The dtype of label maps, and the memory that their components take."""

from __future__ import annotations

from typing import Any

import numpy as np


def label_dtype(classes: int) -> np.dtype[Any]:
    """uint8 for up to 256 classes, uint16 beyond: the narrowest that holds labels 0 … classes − 1."""
    return np.dtype(np.uint8 if classes <= 256 else np.uint16)


MOST_VOXELS = 1 << 32
"""Sizes of components of fewer voxels have 32 bits."""


def component_bytes(voxels: int) -> int:
    """Bytes that finding the components of so many voxels takes: two numbers each, of 32 bits, or else of 64."""
    return voxels * (8 if voxels < MOST_VOXELS else 16)
