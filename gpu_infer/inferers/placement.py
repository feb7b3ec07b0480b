"""Where windows start along one axis, one function per mode: from (size, roi) to ascending starts.

`clara` pads an axis that is shorter than the roi at its end, so its one window starts at 0. `monai` and
`nnunet` pad both sides, (roi − size) // 2 before: their one window starts below 0. Nothing is padded in memory,
because gather and blend clip at both sides.
"""

from __future__ import annotations

import math

from gpu_infer.errors import ConfigError

MOST_STARTS = 1 << 20
"""Limit along an axis, for a mode whose step can be a fraction of a voxel."""

_LEAST_OVERLAP = 16
"""Voxels by which neighbouring windows of `clara` overlap at most, if the roi is 64 or longer."""

_LEAST_STEP = 0.75
"""Fraction of a short roi by which `clara` moves at least."""


def clara_starts(size: int, roi: int) -> list[int]:
    """Window starts along one axis as the Clara operator places them, repeats included.

    The step is roi if roi equals the size, else int(max(roi − 16, 0.75·roi)). There are ceil(size / step) windows.
    Windows that would reach past the end move back to end with the axis, so the last ones can coincide:
    (300, 160) → [0, 140, 140]. An axis shorter than the roi has one window; the part past the end is padding.
    """
    size = max(size, roi)
    step = roi if roi == size else max(1, int(max(roi - _LEAST_OVERLAP, _LEAST_STEP * roi)))
    return [min(i * step, size - roi) for i in range(-(-size // step))]


def monai_starts(size: int, roi: int, overlap: float) -> list[int]:
    """As MONAI's sliding_window_inference: steps of int(roi·(1 − overlap)), at least 1; the first window that
    reaches the end moves back to end with the axis and is the last.
    """
    if size <= roi:
        return [_centred(size, roi)]
    step = max(int(roi * (1 - overlap)), 1)
    count = -(-(size - roi) // step) + 1
    return [min(i * step, size - roi) for i in range(count)]


def nnunet_starts(size: int, roi: int, step_size: float) -> list[int]:
    """As nnU-Net's sliding window: ceil((size − roi) / (roi·step_size)) + 1 windows, evenly spread from end to end.

    Starts are rounded to voxels, halves to even: (110, 64, 0.5) → [0, 23, 46]. ConfigError if there are more than
    `MOST_STARTS`.
    """
    if size <= roi:
        return [_centred(size, roi)]
    step_voxels = max(roi * step_size, 1e-300)  # the smallest step_size times a roi may be 0
    steps = (size - roi) / step_voxels
    if steps > MOST_STARTS:
        raise ConfigError(
            f"step_size {step_size:g}: {roi} voxels of an axis of {size} make {steps:.3g} windows along it, "
            f"expected at most {MOST_STARTS}",
            remedy="0.5 is usual",
        )
    count = math.ceil(steps) + 1
    step = (size - roi) / (count - 1)
    return [round(step * i) for i in range(count)]


def _centred(size: int, roi: int) -> int:
    return -((roi - size) // 2)
