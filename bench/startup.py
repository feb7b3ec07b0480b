"""How long until the command line answers? `python -m bench.startup`."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from bench.support.measure import measure
from bench.support.output import Chart, Result, seconds

COMMANDS = {
    "gpu-infer --help": [str(Path(sys.executable).with_name("gpu-infer")), "--help"],
    "import gpu_infer": [sys.executable, "-c", "import gpu_infer"],
    "python alone": [sys.executable, "-c", "pass"],
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.startup", description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    run(parser.parse_args().repeats)


def run(repeats: int) -> None:
    """Measure and publish bench/results/startup.json."""

    def call(command: list[str]) -> None:
        subprocess.run(command, check=True, capture_output=True)

    timings = measure({name: lambda c=command: call(c) for name, command in COMMANDS.items()}, repeats=repeats)
    result = Result("startup", "Start of a process", ["command", "median", "low … high"])
    for name, timing in timings.items():
        result.rows.append([name, seconds(timing.median), f"{seconds(timing.low)} … {seconds(timing.high)}"])
    result.data["timings"] = {name: timing.data() for name, timing in timings.items()}
    result.chart = Chart(
        {"start": {name: t.median for name, t in timings.items()}}, "seconds, median", logarithmic=False
    )
    result.publish()


if __name__ == "__main__":
    main()
