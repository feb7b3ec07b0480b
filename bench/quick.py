"""The benches that take seconds to minutes, one after another: `make bench`, or `python -m bench.quick [--input CT]`.

Without `bench.classes` (some minutes, 6 GiB). `make bench-publish` copies the results to bench/results.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bench import files, finish, prepare, startup, transports, whole, window_time, windows
from bench.support import ct
from bench.support.output import add_results


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.quick", description=__doc__)
    ct.add_input(parser)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--operator", type=Path, help="the gpu-infer that bench.whole runs")
    add_results(parser)
    arguments = parser.parse_args()
    folder = arguments.results
    startup.run(7, folder)
    files.run(arguments.input, arguments.repeats, folder=folder)
    prepare.run(arguments.input, arguments.repeats, folder)
    finish.run(arguments.input, arguments.repeats, folder=folder)
    windows.run(repeats=arguments.repeats, folder=folder)
    transports.run(12, folder=folder)
    window_time.run(repeats=arguments.repeats, folder=folder)
    whole.run(arguments.input, 2, arguments.operator, folder)


if __name__ == "__main__":
    main()
