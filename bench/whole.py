"""How long does a whole run take, compared with MONAI? `python -m bench.whole [--input CT]`.

The lung demo from file to file with one and the same Triton: our operator, MONAI with Triton's HTTP client as MONAI
Deploy uses it, MONAI with gRPC. Each run is one process, timed from its start to its end with its imports. The
second ratio is without the server's time in the model, the third also without reading the file.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from bench.sides.whole_side import MODEL
from bench.support.bytecode import compile_package
from bench.support.output import RESULTS, Chart, Result, add_results, mebibytes, seconds, times
from bench.support.server_time import server_seconds
from gpu_infer.demo.volume import demo_input, fetch_demo_ct
from gpu_infer.system.resources import resource_folder
from gpu_infer.triton.local.serve import LocalServer

SIDES = {
    "operator": "gpu_infer operator (HTTP, shared memory)",
    "monai-http": "MONAI, Triton's HTTP client as in MONAI Deploy",
    "monai-grpc": "MONAI, Triton's gRPC client",
}

KEYS = {
    "whole_s": "whole run",
    "model_s": "model",
    "rest_s": "all but the model",
    "own_s": "all but the model and reading",
}
"""Keys of a run's seconds, and the columns that they fill."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.whole", description=__doc__)
    parser.add_argument("--input", type=Path, help="a chest CT; default: the demo's, fetched when it is first needed")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--operator", type=Path, help="the gpu-infer to run; default: that of this environment")
    add_results(parser)
    arguments = parser.parse_args()
    run(arguments.input, arguments.repeats, arguments.operator, arguments.results)


def run(path: Path | None, repeats: int, operator: Path | None = None, results: Path = RESULTS) -> None:
    """Measure and publish whole.*; the README shows the table unchanged.

    The operator is the command `operator`, by default that of this environment, whose SciPy and pydicom it then
    imports: Numba and nibabel import them if they are installed. Without MONAI, its sides are skipped.
    """
    sides = {side: title for side, title in SIDES.items() if side == "operator" or find_spec("monai") is not None}
    command = [str(operator)] if operator is not None else [sys.executable, "-m", "gpu_infer"]
    runs: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
    compile_package()
    with tempfile.TemporaryDirectory() as scratch, LocalServer([resource_folder("models")]) as server:
        folder = Path(scratch)
        ct = path or demo_input(fetch_demo_ct(), folder)
        for _ in range(repeats):
            for side in sides:
                _run(side, command, ct, folder, server)  # compiles, and brings its files back into the cache
                for _ in range(2 if side == "operator" else 1):  # short, and so noisier
                    runs[side].append(_run(side, command, ct, folder, server))
        name = ct.name
        agreement = None
        if "monai-grpc" in sides:
            agreement = _dice(*(_array(runs[side][-1]["labels"]) for side in ("operator", "monai-grpc")))
    result = Result(
        "whole",
        f"Whole job on {name}, from file to file",
        ["side", *KEYS.values(), "whole, ratio", "all but the model, ratio", "peak memory"],
        notes=[
            "Each row is the run of median time, a whole process with its imports; an untimed run precedes each. In "
            "brackets: minimum and maximum of all runs. Model: compute time by Triton's statistics, with one server "
            "for all sides. Peak memory: that of the client's process.",
        ],
    )
    if operator is not None:
        result.notes.append("The operator ran in an environment with its requirements only.")
    result.data["operator_versions"] = runs["operator"][-1].pop("versions")
    if agreement is not None:
        result.data["dice_of_sides"] = round(agreement, 5)
        result.notes.append(
            f"Dice between the lungs of the operator and of MONAI: {agreement:.4f} (sizes, padding and windows differ: "
            "docs/equivalence.md)."
        )
    middle = {side: sorted(runs[side], key=lambda r: r["whole_s"])[(len(runs[side]) - 1) // 2] for side in sides}
    ours = middle["operator"]
    for side, title in sides.items():
        values = middle[side]
        own = [r["own_s"] for r in runs[side]]
        result.rows.append(
            [
                title,
                *(seconds(values[key]) for key in KEYS if key != "own_s"),
                f"{seconds(values['own_s'])} ({min(own):.2f} … {max(own):.2f})",
                *(times(values[key], ours[key]) for key in ("whole_s", "rest_s")),
                mebibytes(max(r["peak_bytes"] for r in runs[side])),
            ]
        )
        result.data[side] = [{key: r[key] for key in r if key not in ("labels", "versions")} for r in runs[side]]
    groups = {KEYS[key]: {side: middle[side][key] for side in sides} for key in ("whole_s", "rest_s", "own_s")}
    result.chart = Chart(groups, "seconds (logarithmic)", baseline="operator")
    result.publish(results)


def _run(side: str, operator: list[str], ct: Path, folder: Path, server: LocalServer) -> dict[str, Any]:
    """Run one side; its facts with wall seconds, and the file of its labels."""
    output = folder / side
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir()
    paths = ["--input", str(ct), "--output", str(output)]
    if side == "operator":
        command = [*operator, "run", *paths, "--logs", str(output), "--publish", "", "--triton", server.http]
    else:
        command = [sys.executable, "-W", "ignore", "-m", "bench.sides.whole_side", side, *paths]
        command += ["--http", server.http, "--grpc", server.grpc]
    before = server_seconds(server.grpc, MODEL)
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)
    whole = time.perf_counter() - began
    if done.returncode:
        raise RuntimeError(f"{side} ended with {done.returncode}: {done.stderr[-2000:]}")
    model = (server_seconds(server.grpc, MODEL) - before).infer
    facts: dict[str, Any] = _reported(output) if side == "operator" else json.loads(done.stdout.splitlines()[-1])
    rest = whole - model
    seconds_of = {"whole_s": whole, "model_s": model, "rest_s": rest, "own_s": rest - facts["stages"]["read"]}
    facts |= {key: round(value, 3) for key, value in seconds_of.items()}
    return facts


def _reported(output: Path) -> dict[str, Any]:
    report = json.loads((output / "report.json").read_text(encoding="utf-8"))
    facts = {key: report[key] for key in ("stages", "versions")}
    return {**facts, "labels": report["output"]["mhd"], "peak_bytes": report["peak_rss_bytes"]}


def _array(path: str) -> Any:
    """Labels in the file's own order."""
    import SimpleITK as sitk

    return sitk.GetArrayFromImage(sitk.ReadImage(path))


def _dice(a: Any, b: Any) -> float:
    return float(2 * np.count_nonzero((a > 0) & (b > 0)) / (np.count_nonzero(a) + np.count_nonzero(b)))


if __name__ == "__main__":
    main()
