"""Rows of bench.kernels on probabilities of scores."""

from __future__ import annotations

from math import prod

from bench.prediction.geometry import Geometry, lanes
from bench.prediction.rows import Launch, Part, Row
from bench.sass.hot_loops import HotLoop
from bench.sides.kernel_work import CLASSES

ROWS = 8
"""Rows of j per block, as the constant of that name in scores.cu."""

CONVERSIONS = 2
"""Of an exponential in softmax: its power of two, as an integer and back."""


def score_rows(g: Geometry) -> list[Row]:
    exponential, division = HotLoop("softmax", "convert"), HotLoop("softmax", "MUFU")
    return [
        _row(g, "softmax", "softmax", 8, 4, (exponential, CONVERSIONS), (division, 1)),
        _row(g, "sigmoid", "sigmoid", 8, 4, (HotLoop("sigmoid", r"STG\.32"), 1)),
        # of fewer than four channels, loops that are unrolled four times run their rests, in the loop over k
        _row(g, "limit to 0 … 1", "limit", 8, 4 * CLASSES, (HotLoop("limit", r"STG\.32", depth=2), 1)),
        _row(
            g, "check of probabilities", "improbable", 4, 4 * CLASSES, (HotLoop("improbable", r"LDG\.32", depth=2), 1)
        ),
        _entropy(g, "entropy of classes", "entropy_classes"),
        _entropy(g, "entropy of masks", "entropy_masks"),
    ]


def _row(g: Geometry, name: str, kernel: str, nbytes: int, in_flight: int, *loops: tuple[HotLoop, int]) -> Row:
    """nbytes per score; `loops` with their items per score."""
    scores = CLASSES * prod(g.grid)
    return Row(name, nbytes * scores, 4 * scores, scores, in_flight, (_launch(g, kernel, *loops),))


def _entropy(g: Geometry, name: str, kernel: str) -> Row:
    voxels = prod(g.grid)
    launch = _launch(g, kernel, (HotLoop(kernel, r"LDG\.32"), 1))
    return Row(name, 4 * (CLASSES + 1) * voxels, 4 * CLASSES * voxels, voxels, 4 * CLASSES, (launch,))


def _launch(g: Geometry, kernel: str, *loops: tuple[HotLoop, int]) -> Launch:
    """Turns of the loops over j and k are counted with the first loop."""
    i, j, k = g.grid
    warps = i * j * lanes(k)
    parts = [
        Part(loop, items * CLASSES * warps, (0, 0) if n else (i * j, warps)) for n, (loop, items) in enumerate(loops)
    ]
    return Launch(kernel, i * -(-j // ROWS), tuple(parts))
