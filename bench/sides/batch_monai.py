"""MONAI's side of bench.batch: one process, one volume after the other: `python -m bench.sides.batch_monai FILE…`."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.sides.monai_job import MonaiJob
from bench.support.predictors import grpc_predictor


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.sides.batch_monai", description=__doc__)
    parser.add_argument("inputs", type=Path, nargs="+")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--grpc", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--roi", type=int, nargs=3, required=True)
    arguments = parser.parse_args()
    job = MonaiJob(arguments.output, tuple(arguments.roi))
    predictor = grpc_predictor(arguments.grpc, arguments.model)
    for path in arguments.inputs:
        job.run(path, predictor)


if __name__ == "__main__":
    main()
