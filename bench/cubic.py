"""How long does cubic resampling take on the CPU? `python -m bench.cubic [--shape 512 512 275]`.

A CT to voxels of 1 mm, compared with SciPy's zoom, scikit-image's resize and MONAI's Spacingd, all of order 3.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

from bench.sides import cubic as sides
from bench.sides.chains import Call, Spacing
from bench.support.measure import measure, peak_of
from bench.support.output import RESULTS, Result, add_results, mebibytes, say, seconds, times

OURS = "gpu_infer"
TARGET: Spacing = (1.0, 1.0, 1.0)
MAKERS: Mapping[str, Callable[[sides.Shape, Spacing], Call]] = {
    OURS: sides.ours,
    "scipy.ndimage.zoom": sides.scipy_zoom,
    "skimage resize": sides.skimage_resize,
    "MONAI Spacingd": sides.monai_spacing,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.cubic", description=__doc__)
    parser.add_argument("--shape", type=int, nargs=3, default=(512, 512, 275))
    parser.add_argument("--repeats", type=int, default=3)
    add_results(parser)
    arguments = parser.parse_args()
    x, y, z = arguments.shape
    run((x, y, z), arguments.repeats, arguments.results)


def run(shape: sides.Shape, repeats: int, folder: Path = RESULTS) -> None:
    """Measure and publish cubic.json."""
    size = "×".join(map(str, shape))
    result = Result(
        "cubic",
        f"Cubic resampling: {size} to 1×1×1 mm",
        ["side", "median", "low … high", "against ours", "peak memory", "of it work"],
        notes=["Load excluded: the others begin with float32 voxels, ours with the stored ones."],
    )
    calls = {name: make(shape, TARGET) for name, make in MAKERS.items()}
    calls[OURS]()  # compiles the kernels; the others take a minute and need no warm-up
    timings = measure(calls, repeats=repeats, warmup=0)
    for name, timing in timings.items():
        say(f"{name}: {seconds(timing.median)}")
    peaks = {name: peak_of(make, shape, TARGET) for name, make in MAKERS.items()}
    ours = timings[OURS].median
    for name, timing in timings.items():
        result.rows.append(
            [
                name,
                seconds(timing.median),
                f"{seconds(timing.low)} … {seconds(timing.high)}",
                times(timing.median, ours),
                mebibytes(peaks[name].peak_bytes),
                mebibytes(peaks[name].work_bytes),
            ]
        )
        result.data[name] = {"timing": timing.data(), "memory": peaks[name].data()}
    others = [name for name in MAKERS if name != OURS]
    result.data["ratio_fastest"] = round(min(timings[name].median for name in others) / ours, 2)
    result.data["ratio_least_work_memory"] = round(
        min(peaks[name].work_bytes for name in others) / peaks[OURS].work_bytes, 2
    )
    result.publish(folder)


if __name__ == "__main__":
    main()
