"""The benches that take seconds to minutes, one after another: `make bench`, or `python -m bench.quick [--input CT]`.

Left out are `bench.classes` (some minutes, 6 GiB) and, with --without-whole, the whole job against MONAI.
"""

from __future__ import annotations

import argparse

from bench import ct, finish, prepare, startup, transports, volume, whole


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.quick", description=__doc__)
    ct.add_input(parser)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--without-whole", action="store_true")
    arguments = parser.parse_args()
    startup.run(7)
    volume.run(arguments.input, arguments.repeats)
    prepare.run(arguments.input, arguments.repeats)
    finish.run(arguments.input, arguments.repeats)
    transports.run(12)
    if not arguments.without_whole:
        whole.run(arguments.input, 2)


if __name__ == "__main__":
    main()
