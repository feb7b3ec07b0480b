"""How long from the model's scores to labels on the file's grid? `python -m bench.finish [--input CT]`.

Argmax and resampling to the file's grid, compared with MONAI's AsDiscreted and Invertd.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from bench.prepare import MONAI, OURS, add_rows
from bench.sides import chains as sides
from bench.support import ct
from bench.support.measure import measure, peak_of
from bench.support.output import RESULTS, Chart, Result, add_results


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.finish", description=__doc__)
    ct.add_input(parser)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--classes", type=int, default=2)
    add_results(parser)
    arguments = parser.parse_args()
    run(arguments.input, arguments.repeats, arguments.classes, folder=arguments.results)


def run(path: Path | None, repeats: int, classes: int = 2, *, folder: Path = RESULTS) -> None:
    """Measure and publish finish.*."""
    result = Result(
        "finish",
        f"Finish: {classes} classes → labels on the grid of {ct.described(sides.volume_of(path))}",
        ["side", "target", "median", "low … high", "against ours", "peak memory", "of it work"],
        keys=2,
        notes=["Peak memory is the whole process's, the scores in memory included."],
    )
    groups: dict[str, dict[str, float]] = {}
    for target, spacing in sides.SPACINGS.items():
        calls = {
            OURS: sides.our_finish_of(path, spacing, classes),
            MONAI: sides.monai_finish_of(path, spacing, classes),
        }
        timings = measure(calls, repeats=repeats)
        same = float(np.mean(np.asarray(calls[OURS]()) == calls[MONAI]()[0].numpy()))
        peaks = {
            OURS: peak_of(sides.our_finish_of, path, spacing, classes),
            MONAI: peak_of(sides.monai_finish_of, path, spacing, classes),
        }
        add_rows(result, target, timings, peaks)
        result.data[target]["labels_equal"] = round(same, 5)
        groups[target] = {name: timing.median for name, timing in timings.items()}
    result.chart = Chart(groups, "seconds, median (logarithmic)")
    result.publish(folder)


if __name__ == "__main__":
    main()
