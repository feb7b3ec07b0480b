"""MONAI's side of bench.whole, one process per run: `python -m bench.sides.whole_side SIDE --input CT ...`.

Prints one line of JSON at the end: seconds per stage, peak memory, and the path of the labels.

monai-http  MONAI's transforms and sliding_window_inference; tiles travel as MONAI Deploy's remote model sends them:
            Triton's HTTP client, binary tensors inside the request, one at a time
monai-grpc  the same over gRPC
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from bench.sides.monai_job import MonaiJob
from bench.support.measure import peak_rss
from bench.support.predictors import grpc_predictor, http_predictor

MODEL = "segmentation_ct_lung_v1"
WINDOW = (320, 320, 64)
SPACING = (0.8, 0.8, 5.0)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.sides.whole_side", description=__doc__)
    parser.add_argument("side", choices=["monai-http", "monai-grpc"])
    parser.add_argument("--input", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--http", required=True)
    parser.add_argument("--grpc", required=True)
    arguments = parser.parse_args()
    http = arguments.side == "monai-http"
    predictor = http_predictor(arguments.http, MODEL) if http else grpc_predictor(arguments.grpc, MODEL)
    began = time.perf_counter()
    job = MonaiJob(arguments.output, WINDOW, spacing=SPACING)  # as in the lung configuration
    imported = round(time.perf_counter() - began, 4)
    stages, labels = job.run(arguments.input, predictor)
    facts = {"stages": {"import": imported, **stages}, "labels": str(labels), "peak_bytes": peak_rss()}
    sys.stdout.write(json.dumps(facts) + "\n")


if __name__ == "__main__":
    main()
