"""How long until the command line answers, and until a run asks the server? `python -m bench.startup`.

A run segments a small volume (64×64×64) with windows of 32×32×32 on a local Triton that is ready before. The first
one finds an empty folder for compiled kernels, as on a new machine, and the second one the kernels of the first.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import nibabel as nib
import numpy as np

from bench.batch import config_of
from bench.support.bytecode import compile_package
from bench.support.measure import Timing, measure, timed
from bench.support.output import RESULTS, Chart, Result, add_results, seconds
from bench.support.served import served
from gpu_infer.backends.cpu.backend import CpuBackend

COMMAND = str(Path(sys.executable).with_name("gpu-infer"))
ALONE = "python alone"
COMMANDS = {
    "gpu-infer --help": [COMMAND, "--help"],
    "import gpu_infer": [sys.executable, "-c", "import gpu_infer"],
    ALONE: [sys.executable, "-c", "pass"],
}
FIRST, SECOND = "first gpu-infer run, kernels compiled", "second gpu-infer run"
PARTS = ("until the first request", "whole")
SIDE, WINDOW = 64, 32
FROM_REQUEST_ON = ("infer", "restore", "statistics", "write", "publish", "page", "preview", "scores", "dicom", "send")
"""Stages of a report from the first request on."""

Spent = dict[str, list[float]]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.startup", description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--runs", type=int, default=3, help="pairs of a first and a second run; 0: none")
    add_results(parser)
    arguments = parser.parse_args()
    run(arguments.repeats, arguments.results, runs=arguments.runs)


def run(repeats: int, folder: Path = RESULTS, *, runs: int = 3) -> None:
    """Measure and publish startup.*."""

    def call(command: list[str]) -> None:
        subprocess.run(command, check=True, capture_output=True)

    compile_package()
    timings = measure({name: lambda c=command: call(c) for name, command in COMMANDS.items()}, repeats=repeats)
    result = Result("startup", "Start of a process, and of a run", ["command", "median", "low … high"])
    if runs:
        timings |= {name: Timing(tuple(values)) for name, values in whole_runs(runs).items()}
        result.notes.append(
            f"Runs: {SIDE}×{SIDE}×{SIDE} voxels, windows of {WINDOW}×{WINDOW}×{WINDOW}, CPU. Until the first request: "
            "the whole process without the stages of its report from the inference on."
        )
    for name, timing in timings.items():
        result.rows.append([name, seconds(timing.median), f"{seconds(timing.low)} … {seconds(timing.high)}"])
    result.data["timings"] = {name: timing.data() for name, timing in timings.items()}
    medians = {name: timing.median for name, timing in timings.items()}
    result.chart = Chart(chart_groups(medians), "seconds, median (logarithmic)", baseline=ALONE)
    result.publish(folder)


def chart_groups(medians: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Commands compared with Python alone, and first runs with second ones."""
    groups = {"start": {name: medians[name] for name in COMMANDS}}
    for part in PARTS:
        bars = {run: medians[f"{run}, {part}"] for run in (SECOND, FIRST) if f"{run}, {part}" in medians}
        if bars:
            groups[part] = bars
    return groups


def whole_runs(pairs: int) -> Spent:
    """Seconds of first and second runs: whole, and until the first request."""
    spent: Spent = {f"{run}, {part}": [] for run in (FIRST, SECOND) for part in PARTS}
    with tempfile.TemporaryDirectory() as scratch, served(CpuBackend()) as (server, _):
        root = Path(scratch)
        voxels = np.random.default_rng(1).integers(-1, 3, (SIDE, SIDE, SIDE)).astype(np.int16)
        nib.save(nib.Nifti1Image(voxels, np.eye(4)), root / "case.nii")
        config = root / "config_inference.json"
        config.write_text(json.dumps(config_of("half", (WINDOW, WINDOW, WINDOW))), encoding="utf-8")
        paths = ["--input", str(root / "case.nii"), "--output", str(root / "out"), "--logs", str(root / "out")]
        options = ["--config", str(config), "--device", "cpu", "--publish", "", "--triton", server.http]
        command = [COMMAND, "run", *paths, *options]
        for pair in range(pairs):
            environment = {**os.environ, "NUMBA_CACHE_DIR": str(root / f"kernels-{pair}")}
            for each in (FIRST, SECOND):
                whole = timed(_process(command, environment))
                report = json.loads((root / "out" / "report.json").read_text(encoding="utf-8"))
                spent[f"{each}, whole"].append(whole)
                spent[f"{each}, until the first request"].append(whole - after_request(report["stages"]))
    return spent


def after_request(stages: Mapping[str, float]) -> float:
    """Seconds of the stages of a report from the first request on."""
    return sum(value for name, value in stages.items() if name in FROM_REQUEST_ON)


def _process(command: list[str], environment: Mapping[str, str]) -> Callable[[], None]:
    def call() -> None:
        done = subprocess.run(
            command, env=dict(environment), capture_output=True, encoding="utf-8", errors="replace", check=False
        )
        if done.returncode:
            raise RuntimeError(f"gpu-infer run ended with {done.returncode}: {done.stderr[-2000:]}")

    return call


if __name__ == "__main__":
    main()
