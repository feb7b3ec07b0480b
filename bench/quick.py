"""The benches that take seconds to minutes, one after another: `make bench`, or `python -m bench.quick [--input CT]`.

Without `bench.classes` (some minutes, 6 GiB). Writes the README's measurements at the end.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bench import files, finish, prepare, readme, startup, transports, whole
from bench.support import ct


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.quick", description=__doc__)
    ct.add_input(parser)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--operator", type=Path, help="the gpu-infer that bench.whole runs")
    arguments = parser.parse_args()
    startup.run(7)
    files.run(arguments.input, arguments.repeats)
    prepare.run(arguments.input, arguments.repeats)
    finish.run(arguments.input, arguments.repeats)
    transports.run(12)
    whole.run(arguments.input, 2, arguments.operator)
    readme.write()


if __name__ == "__main__":
    main()
