"""A predictor for tests of sliding windows, and the result by a plain loop over windows in float64."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

PAD = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def ramp(window: NDArray[Any]) -> NDArray[Any]:
    """Two channels that depend on the values and on the place in the window: [N, C, …] → [N, 2, …]."""
    place = sum(
        np.arange(n).reshape([-1 if a == axis else 1 for a in range(window.ndim - 2)]) * (axis + 1)
        for axis, n in enumerate(window.shape[2:])
    )
    mean = window.mean(1, keepdims=True)
    return np.concatenate([mean + 0.1 * place, np.cos(mean) - 0.05 * place], 1).astype(window.dtype)


def by_hand(
    inputs: NDArray[Any],
    roi: tuple[int, ...],
    starts: list[list[int]],
    weights: NDArray[Any] | None = None,
    padding: str = "constant",
    cval: float = 0.0,
) -> NDArray[np.float64]:
    """Pad, visit every window (repeats included), weigh, divide, crop; `starts` count from the unpadded image."""
    size = inputs.shape[2:]
    before = [max(-s[0], 0) for s in starts]
    after = [max(r - n - b, 0) for r, n, b in zip(roi, size, before, strict=True)]
    widths = [(0, 0), (0, 0), *zip(before, after, strict=True)]
    options = {"constant_values": cval} if padding == "constant" else {}
    padded = np.pad(inputs, widths, mode=PAD[padding], **options)  # type: ignore[call-overload]
    weights = np.ones(roi) if weights is None else weights.astype(float)
    sums, total = 0.0, np.zeros(padded.shape[2:])
    for start in product(*starts):
        box = tuple(slice(s + b, s + b + r) for s, b, r in zip(start, before, roi, strict=True))
        seen = ramp(padded[(slice(None), slice(None), *box)])
        one = np.zeros((*seen.shape[:2], *padded.shape[2:]))
        one[(slice(None), slice(None), *box)] = seen * weights
        sums = sums + one
        total[box] += weights
    inside = tuple(slice(b, b + n) for b, n in zip(before, size, strict=True))
    return (sums / total)[(slice(None), slice(None), *inside)]
