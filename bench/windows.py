"""How long do many small windows take? `python -m bench.windows [--side 192]`.

`sliding_window_inference` with a predictor that returns its input, compared with MONAI's function of that name: windows
of 32, 64 and 96 voxels along each axis, constant and Gaussian weights, overlaps of 0.25 and 0.5, 1 and 4 windows a call
of the predictor, and a volume that is a NumPy array or a PyTorch tensor (MONAI takes tensors alone).
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from bench.support.measure import measure
from bench.support.output import RESULTS, Chart, Result, add_results, seconds, times
from gpu_infer import sliding_window_inference

SIDE = 192
WINDOWS = (32, 64, 96)
BATCHES = (1, 4)
OVERLAPS = (0.25, 0.5)
MODES = ("constant", "gaussian")
NUMPY, TORCH, MONAI = "gpu_infer, NumPy", "gpu_infer, PyTorch", "MONAI"
NOTES = (
    "NumPy, PyTorch: gpu_infer's function with a volume of that kind. Medians; the sides take turns.",
    "MONAI multiplies what the predictor returns by the weights in place. With one window per call, that is the "
    "volume itself, so that its result is wrong with Gaussian weights. All sides get a new volume before each call.",
)
TOLERANCE = 1e-5  # blended voxels of 0 … 1 by both sides, and the volume itself


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.windows", description=__doc__)
    parser.add_argument("--side", type=int, default=SIDE, help="voxels of the volume along each axis")
    parser.add_argument("--windows", type=int, nargs="+", default=WINDOWS, help="voxels of a window along each axis")
    parser.add_argument("--repeats", type=int, default=5)
    add_results(parser)
    arguments = parser.parse_args()
    run(arguments.side, arguments.windows, repeats=arguments.repeats, folder=arguments.results)


def run(side: int = SIDE, windows: Sequence[int] = WINDOWS, *, repeats: int, folder: Path = RESULTS) -> None:
    """Measure and publish windows.*; without PyTorch or MONAI, their columns are empty.

    Raises:
        RuntimeError: a side does not return the volume, as it must for windows that come back unchanged.
    """
    sides = [name for name, needs in ((NUMPY, "numpy"), (TORCH, "torch"), (MONAI, "monai")) if find_spec(needs)]
    columns = ["window", "windows per call", "overlap", "weights", "NumPy", "PyTorch", "MONAI", "MONAI ÷ NumPy"]
    result = Result(
        "windows",
        f"sliding_window_inference on {side}×{side}×{side} float32, predictor returns its input, CPU",
        [*columns, "MONAI ÷ PyTorch"],
        notes=list(NOTES),
        keys=4,
    )
    missing = [name.rpartition(", ")[2] for name in (TORCH, MONAI) if name not in sides]
    result.notes += [f"Left out, not installed: {name}." for name in missing]
    original = np.random.default_rng(3).random((1, 1, side, side, side), dtype=np.float32)
    volume = original.copy()
    renew = partial(np.copyto, volume, original)
    groups: dict[str, dict[str, float]] = {}
    rows = []
    for window, batch, overlap, mode in itertools.product(windows, BATCHES, OVERLAPS, MODES):
        calls = {name: call_of(name, volume, window, batch, overlap, mode) for name in sides}
        for name, call in calls.items():
            renew()
            difference = float(np.abs(np.asarray(call()) - original).max())
            if name == MONAI and (batch, mode) == (1, "gaussian"):
                continue  # see NOTES
            if difference > TOLERANCE:
                raise RuntimeError(f"{name}, {window}³: differs from the volume by {difference}, expected {TOLERANCE}")
        timings = measure(calls, repeats=repeats, renew=renew)
        medians = {name: timing.median for name, timing in timings.items()}
        cells = [seconds(medians[name]) if name in medians else "" for name in (NUMPY, TORCH, MONAI)]
        ratios = [
            times(medians[MONAI], medians[name]) if {MONAI, name} <= medians.keys() else "" for name in (NUMPY, TORCH)
        ]
        result.rows.append([f"{window}³", str(batch), str(overlap), mode, *cells, *ratios])
        groups[f"{window}³, {batch}, {overlap}, {mode}"] = medians
        row = {"window": window, "batch": batch, "overlap": overlap, "mode": mode}
        rows.append(row | {name: timing.data() for name, timing in timings.items()})
    result.data = {"side": side, "rows": rows}
    result.chart = Chart(groups, "seconds, median (logarithmic)", baseline=NUMPY)
    result.publish(folder)


def call_of(name: str, volume: Any, window: int, batch: int, overlap: float, mode: str) -> Callable[[], Any]:
    """One side's call, which returns [1, 1, X, Y, Z]."""
    infer: Callable[..., Any] = sliding_window_inference
    if name != NUMPY:
        import torch

        volume = torch.from_numpy(volume)
    if name == MONAI:
        from monai.inferers import sliding_window_inference as infer
    roi = (window, window, window)
    return lambda: infer(volume, roi, batch, _unchanged, overlap, mode)


def _unchanged(windows: Any) -> Any:
    return windows


if __name__ == "__main__":
    main()
