"""Input of each kernel in bench.kernels, and the bytes that it has to move.

Bytes are counted once: every value that is read and every value that is written, however often a kernel or a cache
touches it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

import numpy as np

from bench.sides.kernel_parts import split_sums
from gpu_infer.backends.base.backend import RollingSums, Start
from gpu_infer.backends.label_tables import BIN_BITS, DIGITS, SUM_WIDTH
from gpu_infer.backends.resampling import linear_table, nearest_table, resampled_size
from gpu_infer.backends.tables import AxisTable, ClampedAffine
from gpu_infer.backends.tap_tables import cubic_table
from gpu_infer.backends.taps import TapTables
from gpu_infer.backends.types import SplitSums
from gpu_infer.choices import ScoresActivation
from gpu_infer.inferers.placement import clara_starts

Shape = tuple[int, int, int]
Tables = tuple[AxisTable, AxisTable, AxisTable]

SPACING = (0.75, 0.75, 1.25)
TARGET = (1.0, 1.0, 1.0)
CLASSES = 2
SLOT_WINDOWS = 4
"""Windows with different answers; more than a few hold memory and no more than that."""
GATHERED, BLENDED = 16, 32
"""Windows of one row: enough work that the launch does not count."""
RESTORED = 4
LABEL_TIMES = 8
"""Times that labels are restored, and grids that the histogram is of, for the same reason; of one grid of labels the L2
cache holds most, too."""
LABELS = 4
"""Labels of `blobs`, the background included."""
MIDDLE = 600.0
"""Whose bin the digits are counted in: 512 … 1023 have nearly a quarter of the values."""
FIRST_DIGIT = (21, 11)
"""Place and bits of the first digit of a float32 that percentiles count."""
WINDOW = ClampedAffine(scale=1 / 2000, shift=0.75, low=0.0, high=1.0)
"""HU of -1500 … 500 to 0 … 1, as the lung demo has it."""


@dataclass
class Work:
    """One row: `call` runs it, `renew` (not timed) restores its input.

    together  `call` launches several kernels without waiting for the device in between: they are timed as one
    times     how often `call` does the work that `nbytes` are moved for
    """

    name: str
    call: Callable[[], object]
    nbytes: int
    renew: Callable[[], object] | None = None
    together: bool = False
    times: int = 1


@dataclass
class Scene:
    """A CT of `shape` (I, J, K) on the device, as stored: i fastest, i and j running against the patient's axes.

    stored    int16 [1, I, J, K], the view that turns it to RAS
    tables    linear to 1 mm; back  nearest from 1 mm to the file's grid
    grid      the model's grid at 1 mm; window  of one tile on it
    """

    backend: Any
    stored: Any
    tables: Tables
    back: Tables
    shape: Shape
    grid: Shape
    window: Shape


def scene(backend: Any, shape: Shape, roi: Shape) -> Scene:
    grid = _three(tuple(resampled_size(n, s, t) for n, s, t in zip(shape, SPACING, TARGET, strict=True)))
    voxels = np.random.default_rng(4).integers(-1000, 1000, shape[::-1], np.int16)
    stored = backend.upload(voxels).transpose(2, 1, 0)[None, ::-1, ::-1]
    tables = _tables(linear_table, shape, grid)
    back = _tables(nearest_table, grid, shape)
    window = _three(tuple(min(a, b) for a, b in zip(roi, grid, strict=True)))
    return Scene(backend, stored, tables, back, shape, grid, window)


def works(s: Scene) -> list[Work]:
    """Every kernel of kernels/*.cu at least once."""
    return [*_prepare(s), _cubic(s), *_ranges(s), *_windows(s), *_labels(s), *_scores(s)]


def _prepare(s: Scene) -> list[Work]:
    backend, same = s.backend, ClampedAffine()
    model, turned = backend.empty((1, *s.grid), np.float32), backend.empty((1, *s.shape), np.float32)
    scaled, mask = backend.empty(turned.shape, np.float32), backend.empty(turned.shape, np.uint8)
    backend.resample(s.stored, turned, None, same, same)
    voxels = int(np.prod(s.shape))
    turned_over = backend.index_line(np.arange(s.shape[0])[::-1])
    return [
        Work(
            "prepare, linear to 1 mm",
            lambda: backend.resample(s.stored, model, s.tables, same, WINDOW),
            read(s.tables) * 2 + model.nbytes,
        ),
        Work(
            "prepare, turn and scale",
            lambda: backend.resample(s.stored, turned, None, same, same),
            s.stored.nbytes + turned.nbytes,
        ),
        Work("masked moments", lambda: backend.masked_moments(turned, True), turned.nbytes),
        Work("masked scale", lambda: backend.masked_affine(turned, scaled, WINDOW), 2 * turned.nbytes),
        Work("threshold", lambda: backend.threshold(turned, mask, 0.0), turned.nbytes + mask.nbytes),
        Work("extent of a mask", lambda: backend.occupied_planes(turned, 0.0), turned.nbytes),
        Work("take (arrays)", lambda: backend.take(turned, scaled, [None, turned_over, None, None]), 2 * turned.nbytes),
        Work("convert (arrays)", lambda: backend.convert(s.stored, scaled), voxels * (2 + 4)),
    ]


def _cubic(s: Scene) -> Work:
    """An axis at a time; what lies between axes is not counted. Every sample has a part in an output."""
    backend, tables = s.backend, cubic_tables(s.shape, s.grid)
    model = backend.empty((1, *s.grid), np.float32)
    return Work(
        "cubic to 1 mm",
        lambda: backend.resample_taps(s.stored, model, tables, ClampedAffine(), WINDOW),
        s.stored.nbytes + model.nbytes,
        together=True,
    )


def _ranges(s: Scene) -> list[Work]:
    """The range of the stored voxels, and the first of the three passes of a percentile."""
    backend, same = s.backend, ClampedAffine()
    turned = backend.empty((1, *s.shape), np.float32)
    backend.resample(s.stored, turned, None, same, same)
    return [
        Work("range, int16", lambda: backend.extrema(s.stored), s.stored.nbytes),
        Work("digits, float32", lambda: backend._count_digits(turned, *FIRST_DIGIT, 0), turned.nbytes),
    ]


def _windows(s: Scene) -> list[Work]:
    backend, same = s.backend, ClampedAffine()
    volume = backend.empty((1, *s.grid), np.float32)
    backend.resample(s.stored, volume, s.tables, same, WINDOW)
    gathered, blended = starts(s.grid, s.window, GATHERED), starts(s.grid, s.window, BLENDED)
    slot = backend.empty((GATHERED, 1, *s.window), np.float32)
    answers = backend.upload(class_scores(SLOT_WINDOWS, s.window))
    filled = backend.upload(class_scores(1, s.grid)[0])
    ring = RollingSums(backend.zeros((CLASSES, *s.grid), np.float32), s.grid)
    split = split_sums(backend, CLASSES, s.grid, s.window)
    labels, scores = backend.empty(s.grid, np.uint8), backend.empty((CLASSES, *s.grid), np.float32)
    masks, cuts = backend.empty(scores.shape, np.uint8), np.full(CLASSES, 0.5, np.float32)
    counts = [np.ones(n, np.float32) for n in s.grid]
    covered = np.zeros(s.grid, bool)
    for start in gathered:
        covered[box(start, s.window)] = True
    inside = sum(covered[box(start, s.window)].size for start in blended)

    def in_slots(blend: Callable[..., None], answers: Any, sums: RollingSums | SplitSums) -> None:
        for first in range(0, BLENDED, SLOT_WINDOWS):
            blend(answers, blended[first : first + SLOT_WINDOWS], [1] * SLOT_WINDOWS, None, sums)

    def blend_parts(kind: str, answers: Any) -> Work:
        moved = inside * CLASSES * (answers.itemsize + 2 * 4)
        name = f"blend {BLENDED} windows in parts, {kind}"
        return Work(name, lambda: in_slots(backend.blend_split, answers, split), moved, together=True)

    def renew() -> None:
        ring.sums[...] = filled  # finished sums are zero, and zeros are ties

    low: Start = (0, 0, 0)
    return [
        Work(
            f"gather {GATHERED} windows",
            lambda: backend.gather(volume, gathered, slot, 0.0),
            int(covered.sum()) * 4 + slot.nbytes,
        ),
        Work(
            f"blend {BLENDED} windows",
            lambda: in_slots(backend.blend, answers, ring),
            inside * CLASSES * 4 * 3,
            together=True,
        ),
        blend_parts("float32", answers),
        blend_parts("float16", backend.upload(class_scores(SLOT_WINDOWS, s.window).astype(np.float16))),
        Work(
            "finish, argmax",
            lambda: backend.finish_argmax(ring, low, s.grid, labels),
            2 * ring.sums.nbytes + labels.nbytes,
            renew,
        ),
        Work(
            "finish, scores",
            lambda: backend.finish_scores(ring, low, s.grid, counts, scores),
            2 * ring.sums.nbytes + scores.nbytes,
            renew,
        ),
        Work(
            "finish, masks",
            lambda: backend.finish_masks(ring, low, s.grid, counts, cuts, masks),
            2 * ring.sums.nbytes + masks.nbytes,
            renew,
        ),
        Work("argmax of scores", lambda: backend.argmax(filled, labels), filled.nbytes + labels.nbytes),
    ]


def _labels(s: Scene) -> list[Work]:
    backend = s.backend
    labels = backend.upload(blobs(s.grid))
    many = backend.upload(np.tile(blobs(s.grid), (LABEL_TIMES, 1, 1)))
    whole = backend.empty(s.shape[::-1], np.uint8)
    out = whole.transpose(2, 1, 0)[::-1, ::-1]
    largest, chosen = backend.empty(s.grid, np.uint8), backend.empty(many.shape, np.uint8)
    table = np.arange(256, dtype=np.uint8)[::-1]
    scores, linear = backend.upload(class_scores(1, s.grid)[0]), _tables(linear_table, s.grid, s.shape)

    def restore() -> None:
        for n in range(RESTORED):
            backend.resample_labels(many[n * s.grid[0] : (n + 1) * s.grid[0]], s.back, out)

    return [
        Work("restore", restore, read(s.back) + whole.nbytes, together=True, times=RESTORED),
        Work(
            "restore, scores to labels",
            lambda: backend.restore_argmax(scores, linear, out),
            read(linear) * CLASSES * 4 + whole.nbytes,
        ),
        Work(f"histogram of {LABEL_TIMES} grids", lambda: backend.histogram(many), many.nbytes),
        Work(
            f"lookup in {LABEL_TIMES} grids",
            lambda: backend.lookup(many[None], table, chosen[None]),
            many.nbytes + chosen.nbytes,
        ),
        Work(
            f"places of labels in {LABEL_TIMES} grids",
            lambda: backend._label_extents(many, np.arange(256, dtype=np.uint16), 255),
            many.nbytes,
        ),
        *_values_under_labels(s, labels),
        Work(
            "largest components",
            lambda: backend.largest_components(labels, 1, None, largest),
            labels.nbytes + largest.nbytes,
        ),
    ]


def _values_under_labels(s: Scene, labels: Any) -> list[Work]:
    """The passes of statistics over values of 16 and of 32 bits; neighbours differ, as noise does."""
    backend, count = s.backend, LABELS - 1
    numbers = np.minimum(np.arange(256), LABELS).astype(np.uint16) % LABELS
    host = np.random.default_rng(6).integers(-1000, 1000, s.grid, np.int16)
    narrow, wide = backend.upload(host), backend.upload(host.astype(np.float32))
    values = backend._label_table(count, 1 << 16, np.uint32)
    sums = backend._label_table(count, SUM_WIDTH, np.uint64)
    (digit, *_) = DIGITS
    digits = backend._label_table(count, 2 << digit[1], np.uint32)
    middle = np.full((count, 2), (int(np.float32(MIDDLE).view(np.uint32)) ^ 1 << 31) >> 32 - BIN_BITS, np.uint32)
    return [
        Work(
            "values under labels, int16",
            lambda: backend._count_labelled("label_values", labels, narrow, numbers, values),
            labels.nbytes + narrow.nbytes,
        ),
        Work(
            "sums under labels, float32",
            lambda: backend._add_label_sums(labels, wide, numbers, sums),
            labels.nbytes + wide.nbytes,
        ),
        Work(
            "digits under labels, float32",
            lambda: backend._add_label_digits(labels, wide, numbers, middle, digit, digits),
            labels.nbytes + wide.nbytes,
        ),
    ]


def _scores(s: Scene) -> list[Work]:
    """Probabilities in place, and their entropy."""
    backend = s.backend
    given = backend.upload(class_scores(1, s.grid)[0])
    scores, out = backend.empty(given.shape, np.float32), backend.empty(s.grid, np.float32)

    def renew() -> None:
        scores[...] = given

    def activate(name: str, activation: ScoresActivation) -> Work:
        return Work(name, lambda: backend.probabilities(scores, activation), 2 * scores.nbytes, renew)

    return [
        activate("softmax", "softmax"),
        activate("sigmoid", "sigmoid"),
        activate("limit to 0 … 1", "none"),
        Work("check of probabilities", lambda: backend.improbable(given, 1e-3), given.nbytes),
        Work("entropy of classes", lambda: backend.entropy(given, True, out), given.nbytes + out.nbytes),
        Work("entropy of masks", lambda: backend.entropy(given, False, out), given.nbytes + out.nbytes),
    ]


def read(tables: Tables) -> int:
    """Source samples that contribute to at least one output."""
    return int(np.prod([np.union1d(table.lower, table.upper).size for table in tables]))


def blobs(shape: Shape) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """uint8 labels 0 … 3 in blocks of many voxels, as segmentations are."""
    x, y, z = np.ogrid[: shape[0], : shape[1], : shape[2]]
    return np.asarray((x // 40 + y // 56 + z // 24) % 4, np.uint8)


def class_scores(windows: int, shape: Shape) -> np.ndarray[Any, np.dtype[np.float32]]:
    """float32 [windows, CLASSES, *shape] in 0 … 1."""
    return np.random.default_rng(5).random((windows, CLASSES, *shape), np.float32)


def starts(grid: Shape, window: Shape, count: int) -> list[Start]:
    """`count` windows in the order of a run, from the first again after the last."""
    per_axis = [clara_starts(n, w) for n, w in zip(grid, window, strict=True)]
    x, y, z = (list(dict.fromkeys(axis)) for axis in per_axis)
    return list(islice(cycle([(a, b, c) for a in x for b in y for c in z]), count))


def box(start: Start, window: Shape) -> tuple[slice, ...]:
    return tuple(slice(a, a + w) for a, w in zip(start, window, strict=True))


def _tables(make: Callable[[int, int], AxisTable], old: Shape, new: Shape) -> Tables:
    x, y, z = (make(a, b) for a, b in zip(old, new, strict=True))
    return (x, y, z)


def cubic_tables(old: Shape, new: Shape) -> TapTables:
    x, y, z = (cubic_table(a, b) for a, b in zip(old, new, strict=True))
    return (x, y, z)


def _three(values: tuple[int, ...]) -> Shape:
    x, y, z = values
    return (x, y, z)
