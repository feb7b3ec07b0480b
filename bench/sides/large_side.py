"""One run of bench.large in a process of its own: `python -m bench.sides.large_side --input CASE --http ADDRESS ...`.

The run finds as much free memory of the host as `--gib` says, so that its memory plan is the one of such a machine.
Prints one line of JSON at the end: the report.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from bench.support.addresses import Addresses
from gpu_infer.app import run
from gpu_infer.backends.cpu import backend as cpu
from gpu_infer.planning import free_memory
from gpu_infer.settings import Settings


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.sides.large_side", description=__doc__)
    parser.add_argument("--input", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--http", required=True)
    parser.add_argument("--grpc", required=True)
    parser.add_argument("--format", required=True)
    parser.add_argument("--gib", type=float, help="free memory; default: that of this machine")
    arguments = parser.parse_args()
    if arguments.gib is not None:
        for module in (free_memory, cpu):
            vars(module)["free_host_bytes"] = lambda: int(arguments.gib * 2**30)
    result = run(
        Settings.from_environment(
            {},
            **Addresses(arguments.http, arguments.grpc).settings(),
            input=arguments.input,
            output=arguments.output,
            config=arguments.config,
            formats=(arguments.format,),
            publish="",
        )
    )
    sys.stdout.write(json.dumps(result.data) + "\n")


if __name__ == "__main__":
    main()
