"""The whole job beside MONAI's: `python -m bench.whole [--input CT]`.

The lung demo from file to file with one and the same Triton: our operator, MONAI with Triton's HTTP client as MONAI
Deploy uses it, MONAI with gRPC. Each run is a process of its own, imports included. What the server says it spent in
the model is taken off for the second ratio.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from bench.measure import Timing
from bench.output import Chart, Result, mebibytes, seconds, times
from bench.whole_side import MODEL
from gpu_infer.demo_data import demo_input, fetch_demo_ct
from gpu_infer.resources import resource_folder
from gpu_infer.triton.local.serve import LocalServer

SIDES = {
    "operator": "gpu_infer operator (gRPC, shared memory)",
    "monai-http": "MONAI, Triton's HTTP client as in MONAI Deploy",
    "monai-grpc": "MONAI, Triton's gRPC client",
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.whole", description=__doc__)
    parser.add_argument("--input", type=Path, help="a chest CT; default: the demo's, fetched when it is first needed")
    parser.add_argument("--repeats", type=int, default=2)
    arguments = parser.parse_args()
    run(arguments.input, arguments.repeats)


def run(path: Path | None, repeats: int) -> None:
    """Measure and publish bench/results/whole.*; the table goes into the README as it is."""
    runs: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
    with tempfile.TemporaryDirectory() as scratch, LocalServer([resource_folder("models")]) as server:
        folder = Path(scratch)
        ct = path or demo_input(fetch_demo_ct(), folder)
        _side("operator", ct, folder, server)  # kernels compiled, model and file cache warm
        for _ in range(repeats):
            for side in SIDES:
                runs[side].append(_side(side, ct, folder, server))
        agreement = _dice(runs["operator"][-1]["array"], runs["monai-grpc"][-1]["array"])
        name = ct.name
    result = Result(
        "whole",
        f"Whole job on {name}, from file to file",
        ["side", "whole run", "model", "all but the model", "whole, ratio", "all but the model, ratio", "peak memory"],
        notes=[
            "Medians. Model: what Triton's statistics name its compute time; one server serves all sides. Peak memory: "
            "of the client's process.",
            f"Dice of the two sides' lungs: {agreement:.4f} (sizes, padding and windows differ: docs/equivalence.md).",
        ],
    )
    ours = {key: Timing(tuple(r[key] for r in runs["operator"])).median for key in ("whole_s", "rest_s")}
    groups: dict[str, dict[str, float]] = {"whole run": {}, "all but the model": {}}
    for side, title in SIDES.items():
        whole, model, rest = (
            Timing(tuple(r[key] for r in runs[side])).median for key in ("whole_s", "model_s", "rest_s")
        )
        peak = max(r["peak_bytes"] for r in runs[side])
        result.rows.append(
            [
                title,
                seconds(whole),
                seconds(model),
                seconds(rest),
                times(whole, ours["whole_s"]),
                times(rest, ours["rest_s"]),
                mebibytes(peak),
            ]
        )
        groups["whole run"][side], groups["all but the model"][side] = whole, rest
        result.data[side] = [{key: r[key] for key in r if key not in ("array", "labels")} for r in runs[side]]
    result.data["dice_of_sides"] = round(agreement, 5)
    result.chart = Chart(groups, "seconds (logarithmic)")
    result.publish()


def _side(side: str, ct: Path, folder: Path, server: LocalServer) -> dict[str, Any]:
    """Run one side; its facts with wall seconds and the labels in the file's own order."""
    output = folder / side
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir()
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "bench.whole_side",
        side,
        "--input",
        str(ct),
        "--output",
        str(output),
    ]
    command += ["--http", server.http, "--grpc", server.grpc]
    before = _compute_seconds(server)
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    whole = time.perf_counter() - began
    if done.returncode:
        raise RuntimeError(f"{side} ended with {done.returncode}: {done.stderr[-2000:]}")
    facts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    model = _compute_seconds(server) - before
    facts |= {"whole_s": round(whole, 3), "model_s": round(model, 3), "rest_s": round(whole - model, 3)}
    facts["array"] = sitk.GetArrayFromImage(sitk.ReadImage(facts["labels"]))
    return facts


def _compute_seconds(server: LocalServer) -> float:
    """Seconds that the server has spent in the model so far."""
    import tritonclient.grpc as triton

    with triton.InferenceServerClient(server.grpc) as client:
        statistics = client.get_inference_statistics(MODEL).model_stats
    return sum(s.inference_stats.compute_infer.ns for s in statistics) / 1e9


def _dice(a: Any, b: Any) -> float:
    return float(2 * np.count_nonzero((a > 0) & (b > 0)) / (np.count_nonzero(a) + np.count_nonzero(b)))


if __name__ == "__main__":
    main()
