"""Grey-value windows: which values become black and white, and the choices that a viewer offers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gpu_infer.volume.volume import Volume

_SAMPLES = 200_000

_CT = (
    ("overview", -1000, 400),
    ("lung", -1350, 150),
    ("soft tissue", -160, 240),
    ("bone", -450, 1050),
    ("brain", 0, 80),
)
"""Usual windows of CT, in HU. The first one shows lungs and soft tissue, and its black is air, which hides nothing in
3-D."""

_CT_RANGE = (-1024.0, 1050.0)
"""HU from air to the white of the bone window: with 8 bits, one grey value per 8.1 HU."""

_FEWEST_GREYS = 32
"""Of a window that is offered on 8-bit voxels; fewer show as steps."""


@dataclass(frozen=True)
class Window:
    """Values in physical units that become black and white."""

    name: str
    low: float
    high: float


@dataclass(frozen=True)
class Values:
    """The values of a volume in physical units.

    is_hu    they look like the Hounsfield units of a CT
    lowest   the smallest finite one of a sample
    highest  the largest finite one of a sample
    low      black of the widest window that is offered
    high     white of it
    typical  the 1st and the 99th percentile
    """

    is_hu: bool
    lowest: float
    highest: float
    low: float
    high: float
    typical: tuple[float, float]


def measure_values(volume: Volume) -> Values:
    """Measure the first channel, in a sample of about 200 000 voxels."""
    stored = volume.data[0]
    step = max(round((stored.size / _SAMPLES) ** (1 / 3)), 1)
    sample = stored[::step, ::step, ::step].astype(np.float64) * volume.slope + volume.inter
    sample = sample[np.isfinite(sample)]
    if not sample.size:
        return Values(False, 0.0, 1.0, 0.0, 1.0, (0.0, 1.0))
    lowest, highest = float(sample.min()), float(sample.max())
    if lowest <= -900 and highest >= 100:  # air, and at least soft tissue with contrast or bone
        return Values(True, lowest, highest, *_CT_RANGE, (lowest, highest))
    low, dark, bright, high = map(float, np.percentile(sample, (0.1, 1, 99, 99.9)))
    dark, bright = (dark, bright) if bright > dark else (lowest, highest)
    low, high = (low, high) if high > low else (lowest, highest)
    if high <= low:  # a single value
        low, high, dark, bright = lowest, lowest + 1, lowest, lowest + 1
    return Values(False, lowest, highest, low, high, (dark, bright))


def offered_windows(values: Values, render_settings: Path, step: float) -> list[Window]:
    """Return the windows that a viewer offers, the one to begin with first.

    Args:
        values: of the volume.
        render_settings: a config_render.json; its ranges of values are offered too.
        step: of the voxels that are shown; 0 if they are not rounded. Windows of too few steps are left out.
    """
    if values.is_hu:
        windows = [Window(name, low, high) for name, low, high in _CT]
        windows.append(Window("whole range", values.low, values.high))
    else:
        windows = [Window("1–99 %", *values.typical), Window("whole range", values.low, values.high)]
    span = values.highest - values.lowest
    for low, high in _render_ranges(render_settings):
        ends = values.lowest + low * span, values.lowest + high * span
        shown = max(ends[0], values.low), min(ends[1], values.high)
        if shown[1] > shown[0]:
            windows.append(Window(f"renderer {low * 100:.0f}–{high * 100:.0f} %", *shown))
    first, *others = windows
    unique = {(window.low, window.high): window for window in reversed([first, *others])}
    return [first, *(w for w in others if unique[w.low, w.high] is w and w.high - w.low >= step * _FEWEST_GREYS)]


def _render_ranges(path: Path) -> Iterable[tuple[float, float]]:
    """Ranges of the transfer function, as parts of the volume's range of values; none if the file has no such ones."""
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        components = content["TransferFunction"]["components"]
        ranges = [component["range"] for component in components]
        ends = [(float(one["min"]), float(one["max"])) for one in ranges]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):  # another renderer may know other keys
        return []
    return [(low, high) for low, high in ends if 0 <= low < high <= 1 and (low, high) != (0, 1)]
