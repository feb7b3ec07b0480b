"""How long from the voxels in memory to the model's input? `python -m bench.prepare [--input CT]`.

Orientation, resampling and intensity range, compared with MONAI, SciPy's zoom and PyTorch's interpolate.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench.sides import chains as sides
from bench.support import ct
from bench.support.measure import Timing, measure, peak_of
from bench.support.output import RESULTS, Chart, Result, add_results, mebibytes, seconds, times

OURS = "gpu_infer"
MONAI = "MONAI"

MAKERS: Mapping[str, Callable[..., sides.Call]] = {
    OURS: sides.our_prepare_of,
    MONAI: sides.monai_prepare_of,
    "MONAI, lazy": lambda path, spacing: sides.monai_prepare_of(path, spacing, lazy=True),
    "scipy.ndimage.zoom": sides.scipy_prepare_of,
    "torch interpolate": sides.torch_prepare_of,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.prepare", description=__doc__)
    ct.add_input(parser)
    parser.add_argument("--repeats", type=int, default=3)
    add_results(parser)
    arguments = parser.parse_args()
    run(arguments.input, arguments.repeats, arguments.results)


def run(path: Path | None, repeats: int, folder: Path = RESULTS) -> None:
    """Measure and publish prepare.*."""
    result = Result(
        "prepare",
        f"Prepare: {ct.described(sides.volume_of(path))} → model input",
        ["side", "target", "median", "low … high", "against ours", "peak memory", "of it work"],
        keys=2,
        notes=[
            "Load excluded: MONAI, SciPy and PyTorch begin with float32 voxels as MONAI's loader leaves them, ours "
            "with the stored ones. Peak memory is the whole process's, the input in memory included.",
        ],
    )
    groups: dict[str, dict[str, float]] = {}
    for target, spacing in sides.SPACINGS.items():
        timings = measure({name: make(path, spacing) for name, make in MAKERS.items()}, repeats=repeats)
        peaks = {
            OURS: peak_of(sides.our_prepare_of, path, spacing),
            MONAI: peak_of(sides.monai_prepare_of, path, spacing),
        }
        add_rows(result, target, timings, peaks)
        groups[target] = {name: timing.median for name, timing in timings.items()}
    result.chart = Chart(groups, "seconds, median (logarithmic)")
    result.publish(folder)


def add_rows(result: Result, target: str, timings: Mapping[str, Timing], peaks: Mapping[str, Any]) -> None:
    """One row per side, and its figures under data[target]."""
    ours = timings[OURS].median
    for name, timing in timings.items():
        peak = peaks.get(name)
        result.rows.append(
            [
                name,
                target,
                seconds(timing.median),
                f"{seconds(timing.low)} … {seconds(timing.high)}",
                times(timing.median, ours),
                mebibytes(peak.peak_bytes) if peak else "",
                mebibytes(peak.work_bytes) if peak else "",
            ]
        )
    result.data[target] = {
        "timings": {name: timing.data() for name, timing in timings.items()},
        "memory": {name: peak.data() for name, peak in peaks.items()},
        "ratio_monai": round(timings[MONAI].median / ours, 2),
        "ratio_monai_memory": round(peaks[MONAI].peak_bytes / peaks[OURS].peak_bytes, 2),
    }


if __name__ == "__main__":
    main()
