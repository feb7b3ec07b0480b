"""The limit of the grid that a transform can make, checked before any table or array of that size exists."""

from __future__ import annotations

import math

from gpu_infer.errors import ConfigError
from gpu_infer.volume.geometry import Shape3

MOST_SAMPLES = 1 << 20
"""Along an axis. No volume has as many, and tables of that length would not fit into memory."""


def check_grid(place: str, before: Shape3, after: Shape3) -> None:
    """ConfigError if `after` (X, Y, Z) exceeds `MOST_SAMPLES` along an axis, with the memory of one channel."""
    if max(after) > MOST_SAMPLES:
        gib = math.prod(after) * 4 // (1 << 30)
        size = f"{gib} GiB" if gib < 10**12 else f"about 10^{len(str(gib)) - 1} GiB"
        raise ConfigError(
            f"{place}: {before} voxels become {_format_shape(after)}, {size} of float32, "
            f"expected at most {MOST_SAMPLES} along an axis",
            remedy="check the target, and the spacing in the file",
        )


def _format_shape(shape: Shape3) -> str:
    """The sizes; very long numbers as a power of ten."""
    return "(" + ", ".join(str(n) if n < 10**12 else f"about 10^{len(str(n)) - 1}" for n in shape) + ")"
