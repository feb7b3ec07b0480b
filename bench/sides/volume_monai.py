"""MONAI's side of a case of bench.volume, in its own process: `python -m bench.sides.volume_monai --input PHANTOM`.

Runs the job twice, or once if the first run takes longer than --long seconds. Prints one line of JSON at the end: the
figures of the run that counts, or why the job does not fit into memory.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.sides.monai_job import MonaiJob
from bench.sides.monai_memory import DoesNotFit, confined, grid_of, least_bytes, out_of_memory
from bench.sides.volume_facts import timed_run
from bench.support.measure import peak_rss, process_seconds
from bench.support.predictors import Counted, grpc_predictor
from bench.support.server_time import server_seconds
from gpu_infer.system.host_memory import free_host_bytes

_SPARE_BYTES = 1 << 30
"""For the rest of the machine and for the server while it answers."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.sides.volume_monai", description=__doc__)
    parser.add_argument("--input", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--grpc", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--device", choices=["cpu", "cuda"], required=True)
    parser.add_argument("--roi", type=int, nargs=3, required=True, help="used if the model's window is open")
    parser.add_argument("--spacing", type=float, nargs=3)
    parser.add_argument("--long", type=float, required=True, help="seconds of a first run that is not repeated")
    parser.add_argument("--free", type=int, help="free bytes of the host; default: measured")
    arguments = parser.parse_args()
    with suppress(OSError):
        # if memory runs out in spite of all: this one first
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="utf-8")
    outcome = measured(arguments)
    facts = {"does_not_fit": dataclasses.asdict(outcome)} if isinstance(outcome, DoesNotFit) else outcome
    sys.stdout.write(json.dumps(facts) + "\n")


def measured(arguments: argparse.Namespace) -> dict[str, Any] | DoesNotFit:
    """The figures of `bench.sides.volume_operator.summary`, with `first_run` and `labels`."""
    import nibabel
    import torch

    window, classes = _model(arguments.grpc, arguments.model, arguments.roi)
    job = MonaiJob(arguments.output, window, spacing=arguments.spacing, device=arguments.device)
    header = nibabel.load(arguments.input)
    grid = grid_of(header.shape, header.header.get_zooms(), arguments.spacing)
    needs = {"host": math.prod(header.shape) * 4}  # as it is loaded
    answer = classes * math.prod(window) * 4
    host = free_host_bytes() - _SPARE_BYTES - 4 * answer if arguments.free is None else arguments.free
    free = {"host": max(0, host)}
    where = "host" if arguments.device == "cpu" else "GPU"
    if where == "GPU":
        free["GPU"] = torch.cuda.mem_get_info()[0]  # starts CUDA as well, whose own memory is no part of the job's
    needs[where] = least_bytes(header.shape, grid, classes, resampled=arguments.spacing is not None)
    for side, least in needs.items():
        if least > free[side]:
            return DoesNotFit(side, least, free[side])
    _start_threads(arguments)
    try:
        with confined(free["host"]):
            return _runs(job, arguments)
    except Exception as error:
        if (ran_out := out_of_memory(error)) is None:
            raise
        return DoesNotFit(ran_out, None, free.get(ran_out, 0))


def _start_threads(arguments: argparse.Namespace) -> None:
    """PyTorch's, NumPy's and gRPC's: near the limit their stacks are refused, which ends a process without a word."""
    import numpy as np
    import torch

    torch.ones(256, 256, dtype=torch.float64).matmul(torch.ones(256, 256, dtype=torch.float64)).add_(1.0)
    np.ones((256, 256)) @ np.ones((256, 256))
    server_seconds(arguments.grpc, arguments.model)


def _runs(job: MonaiJob, arguments: argparse.Namespace) -> dict[str, Any]:
    import torch

    predictor = Counted(grpc_predictor(arguments.grpc, arguments.model))
    runs: list[dict[str, Any]] = []
    while not runs or (len(runs) < 2 and runs[0]["seconds"] <= arguments.long):
        predictor.windows = 0
        if job.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        before = server_seconds(arguments.grpc, arguments.model)
        stages, labels = job.run(arguments.input, predictor)
        spent = server_seconds(arguments.grpc, arguments.model) - before
        runs.append(
            {
                "device": job.device,
                "data": "inline",
                **timed_run(round(sum(stages.values()), 4), stages, spent),
                "windows": predictor.windows,
                "peak_host_bytes": peak_rss(),
                "peak_device_bytes": torch.cuda.max_memory_allocated() if job.device == "cuda" else None,
            }
        )
        runs[0].setdefault("process_s", round(process_seconds(), 4))
    counted = "second run" if len(runs) > 1 else "first run"
    return {**runs[-1], "counted": counted, "first_run": runs[0], "labels": str(labels)}


def _model(url: str, name: str, roi: Sequence[int]) -> tuple[tuple[int, ...], int]:
    """(window, classes) of a model [1, X, Y, Z] → [K, X, Y, Z]; `roi` if its metadata leave the window open."""
    import tritonclient.grpc as triton

    with triton.InferenceServerClient(url) as client:
        metadata = client.get_model_metadata(name)
    inputs, outputs = (list(tensors[0].shape)[-4:] for tensors in (metadata.inputs, metadata.outputs))
    window = tuple(int(fixed) if fixed > 0 else side for fixed, side in zip(inputs[1:], roi, strict=True))
    return window, int(outputs[0])


if __name__ == "__main__":
    main()
