"""What do preparation, windows and labels of an nnU-Net model cost? `python -m bench.nnunet [--input CT]`.

A CT from file to label map on the CPU by nnU-Net's predictor, and by gpu_infer with the imported model on a local
Triton: CT normalisation, order 3 to voxels of 1 mm, windows of 128³ with Gaussian weights and without mirroring, linear
logits. The network computes almost nothing, and its time is subtracted. Each side is one process.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from bench.sides.nnunet_volume import write_trained
from bench.support.addresses import Addresses
from bench.support.output import RESULTS, Result, add_results, mebibytes, say, seconds, times
from bench.support.server_time import server_seconds
from gpu_infer.demo.volume import demo_input, fetch_demo_ct
from gpu_infer.imports.nnunet.import_model import Options, import_nnunet
from gpu_infer.triton.local.serve import LocalServer

OURS, NNUNET = "gpu_infer", "nnU-Net"
MODEL = "bench"
ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.nnunet", description=__doc__)
    parser.add_argument("--input", type=Path, help="a .nii.gz; default: the CT of the demo")
    add_results(parser)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run(arguments.input or demo_input(fetch_demo_ct(), Path(folder)), arguments.results)


def run(source: Path, results: Path = RESULTS) -> Result:
    """Measure and publish nnunet.json."""
    size = "×".join(map(str, nib.load(source).shape))
    columns = ["side", "whole", "model", "all but model", "ratio", "peak memory", "ratio of memory", "windows"]
    result = Result("nnunet", f"An nnU-Net model from file to file, {size}, CPU", columns)
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        trained = place / "nnUNetTrainer__bench__3d_fullres"
        write_trained(trained)
        app = import_nnunet(trained, place / "models", place / "app", Options(Path(sys.executable), MODEL)).folder
        with LocalServer(place / "models") as server:
            ours = _ours(source, app, place / "ours", Addresses.of(server))
        say(f"{OURS}: {seconds(ours['seconds'])}")
        theirs = _theirs(trained, source, place / "nnunet.nii.gz")
        say(f"{NNUNET}: {seconds(theirs['seconds'])}")
        labels = [np.asarray(nib.load(path).dataobj) for path in (_label_map(place / "ours"), place / "nnunet.nii.gz")]
    for name, facts in ((OURS, ours), (NNUNET, theirs)):
        result.rows.append(
            [
                name,
                *(seconds(facts[key]) for key in ("seconds", "model_s", "rest_s")),
                times(facts["rest_s"], ours["rest_s"]),
                mebibytes(facts["peak_bytes"]),
                times(facts["peak_bytes"], ours["peak_bytes"]),
                str(facts["windows"]),
            ]
        )
        result.data[name] = facts
    different = float((labels[0] != labels[1]).mean())
    result.data["different_share"] = different
    result.notes += [
        f"Labels differ on {different:.2e} of the voxels.",
        "Peak memory of the side's process. gpu_infer's model is in Triton's process, nnU-Net's in the same process.",
        "Seconds are those of predict_from_files_sequential, and of the first run of a process of gpu_infer.",
    ]
    result.publish(results)
    return result


def _ours(source: Path, app: Path, output: Path, server: Addresses) -> dict[str, Any]:
    before = server_seconds(server.grpc, MODEL)
    command = [sys.executable, "-m", "gpu_infer", "run", "-i", source, "-o", output, "--config", app]
    _call([*command, "--triton", server.http, "--device", "cpu"])
    spent = server_seconds(server.grpc, MODEL) - before
    report = json.loads((output / "report.json").read_text(encoding="utf-8"))
    return {
        "seconds": report["seconds"],
        "model_s": spent.infer,
        "rest_s": report["seconds"] - spent.infer,
        "windows": report["tiles"]["windows"],
        "peak_bytes": report["peak_rss_bytes"],
        "stages": report["stages"],
    }


def _theirs(trained: Path, source: Path, output: Path) -> dict[str, Any]:
    command = [sys.executable, "-W", "ignore", "-m", "bench.sides.nnunet_volume", trained, source, output]
    facts: dict[str, Any] = json.loads(_call(command).strip().splitlines()[-1])
    return facts


def _call(command: list[Any]) -> str:
    done = subprocess.run(
        list(map(str, command)), cwd=ROOT, capture_output=True, encoding="utf-8", errors="replace", check=False
    )
    if done.returncode:
        sys.exit(f"bench.nnunet: {' '.join(map(str, command[1:4]))}: {done.stderr.strip()[-400:]}")
    return done.stdout


def _label_map(folder: Path) -> Path:
    (path,) = folder.glob("*.nii.gz")
    return path


if __name__ == "__main__":
    main()
