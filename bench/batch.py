"""How long does a case of a batch take, compared with a loop of runs, MONAI and nnU-Net? `python -m bench.batch`.

Volumes of 256³ int16, a model that costs one copy of its window, one Triton for all sides but nnU-Net, whose network
runs in its own process. The loop starts `gpu-infer run` for each volume, as a shell script does; MONAI's side is one
process that works on one volume after the other; nnU-Net's side is its predictor for many files, with the processes of
its command line and with less. Of nnU-Net's ways, only the fastest is repeated.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from bench.sides.nnunet_side import NNUNET, fastest, missing_note, nnunet_command, nnunet_notes
from bench.support.addresses import Addresses
from bench.support.output import RESULTS, Chart, Result, add_results, mebibytes, say, seconds
from bench.support.served import served
from gpu_infer.backends.cpu.backend import CpuBackend

MODEL = "half"
ROI = (128, 128, 128)
DISTINCT = 4
"""Volumes with voxels of their own; the others are links to them."""

LOOP, MONAI = "loop of gpu-infer run", "MONAI, one process, gRPC"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.batch", description=__doc__)
    parser.add_argument("--cases", type=int, default=40)
    parser.add_argument("--side", type=int, default=256, help="voxels of a volume along each axis")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--peer-cases", type=int, default=10, help="volumes of MONAI's and nnU-Net's sides, at most")
    add_results(parser)
    arguments = parser.parse_args()
    peer_cases = 0 if arguments.no_peers else min(arguments.peer_cases, arguments.cases)
    run(arguments.cases, arguments.side, arguments.workers, arguments.repeats, peer_cases, arguments.results)


def run(cases: int, side: int, workers: Sequence[int], repeats: int, peer_cases: int, results: Path = RESULTS) -> None:
    """Measure the sides in turns and publish batch.*; the peers' on the first `peer_cases` volumes."""
    peers = peer_cases > 0
    sides = [LOOP, *(_batch_name(n) for n in workers)]
    notes = []
    if peers and find_spec("monai") is not None:
        sides.append(MONAI)
    if peers and (missing := missing_note()) is None:
        sides += NNUNET
    elif peers:
        notes.append(missing)
    measured: dict[str, list[dict[str, Any]]] = {each: [] for each in sides}
    with tempfile.TemporaryDirectory() as scratch, served(CpuBackend()) as (server, note):
        root, addresses = Path(scratch), Addresses.of(server)
        inputs = _write_volumes(root / "in", cases, side)
        config = root / "config_inference.json"
        config.write_text(json.dumps(config_of(MODEL, ROI)), encoding="utf-8")
        for repeat in range(repeats):
            for each in sides:
                if repeat and each in NNUNET and each != fastest(measured):
                    continue
                output = root / f"{sides.index(each)}-{repeat}"
                own = inputs[:peer_cases] if each == MONAI or each in NNUNET else inputs
                measured[each].append(_measure(each, own, output, config, addresses) | {"cases": len(own)})
                say(f"{each}: {measured[each][-1]['seconds'] / len(own):.3f} s per case")
        labels = _labels_agree(root, sides, inputs, repeats - 1)
        notes = [note, f"Labels of the sides of gpu_infer are equal byte by byte: {labels}.", *notes]
        if NNUNET.keys() <= measured.keys():
            first = {each: root / f"{sides.index(each)}-0" for each in sides}
            notes += nnunet_notes(first[LOOP], [first[each] for each in NNUNET], inputs[:DISTINCT])
    _publish(measured, cases, side, notes, results)


def _batch_name(workers: int) -> str:
    return f"gpu-infer batch --workers {workers}"


def _measure(side: str, inputs: list[Path], output: Path, config: Path, server: Addresses) -> dict[str, Any]:
    """Seconds of all cases, and the largest sum of what the side's processes held at a time."""
    output.mkdir()
    program = [sys.executable, "-m", "gpu_infer"]
    common = ["--config", str(config), "--triton", server.http, "--quiet"]
    if side == LOOP:
        commands = [[*program, "run", "-i", str(p), "-o", str(output / p.stem), *common] for p in inputs]
    elif side == MONAI:
        options = ["--output", str(output), "--grpc", server.grpc, "--model", MODEL, "--roi", *map(str, ROI)]
        commands = [[sys.executable, "-m", "bench.sides.batch_monai", *map(str, inputs), *options]]
    elif side in NNUNET:
        commands = [nnunet_command(side, inputs, output, ROI)]
    else:
        options = ["--workers", side.rpartition(" ")[2]]
        commands = [[*program, "batch", "-i", str(inputs[0].parent), "-o", str(output), *common, *options]]
    peak, began = 0, time.perf_counter()
    for command in commands:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        watch = _Watch(process.pid)
        watch.start()
        code = process.wait()
        peak = max(peak, watch.end())
        if code:
            raise SystemExit(f"{side}: exit code {code}")
    return {"seconds": time.perf_counter() - began, "peak_bytes": peak, "planned_bytes": _planned(output)}


def _planned(output: Path) -> int | None:
    """The largest peak that a report of a case has planned."""
    reports = [json.loads(path.read_text(encoding="utf-8")) for path in output.glob("*/report.json")]
    return max((report["memory"]["planned_peak_bytes"] for report in reports), default=None)


class _Watch(threading.Thread):
    """The largest sum of the proportional set sizes of a process and its descendants."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid, self._peak, self._over = pid, 0, threading.Event()

    def run(self) -> None:
        while not self._over.wait(0.1):
            self._peak = max(self._peak, sum(map(_held, _tree(self._pid))))

    def end(self) -> int:
        self._over.set()
        self.join()
        return self._peak


def _tree(pid: int) -> list[int]:
    """The process and its descendants."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except OSError:
        return []
    return [pid, *(each for child in children for each in _tree(int(child)))]


def _held(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def _write_volumes(folder: Path, cases: int, side: int) -> list[Path]:
    """Cubes of int16 with values around the model's threshold."""
    folder.mkdir()
    generator = np.random.default_rng(7)
    paths = [folder / f"case_{n:03}.nii" for n in range(cases)]
    for n, path in enumerate(paths):
        if n < DISTINCT:
            voxels = generator.integers(-1, 3, (side, side, side)).astype(np.int16)
            nib.save(nib.Nifti1Image(voxels, np.diag([0.8, 0.8, 1.0, 1.0])), path)
        else:
            os.link(paths[n % DISTINCT], path)
    return paths


def config_of(model: str, roi: Sequence[int]) -> dict[str, Any]:
    """The configuration of the sides of gpu_infer: no transforms of values, labels by argmax."""
    return {
        "batch_size": 1,
        "pre_transforms": [
            {"name": "LoadNifti", "args": {"fields": ["image"]}},
            {"name": "ConvertToChannelsFirst", "args": {"fields": "image"}},
        ],
        "post_transforms": [
            {"name": "ArgmaxAcrossChannels", "args": {"fields": "model"}},
            {"name": "RestoreOriginalShape", "args": {"field": "model", "src_field": "image", "is_label": True}},
        ],
        "writers": [{"name": "WriteNifti", "args": {"field": "model", "dtype": "uint8"}}],
        "inferer": {"name": "TRTISScanWindowInferer", "args": {"model_name": model, "roi_size": list(roi)}},
    }


def _labels_agree(root: Path, sides: list[str], inputs: list[Path], repeat: int) -> bool:
    ours = [side for side in sides if side != MONAI and side not in NNUNET]
    return all(
        len({(root / f"{sides.index(side)}-{repeat}" / p.stem / f"{p.stem}.raw").read_bytes() for side in ours}) == 1
        for p in inputs[:DISTINCT]
    )


def _publish(measured: dict[str, list[dict[str, Any]]], cases: int, side: int, notes: list[str], folder: Path) -> None:
    columns = ["side", "per case", "range", "ratio to the loop", "peak memory", "planned per case"]
    result = Result("batch", f"{cases} volumes of {side}³", columns, notes=notes)
    per_case = {each: [run["seconds"] / run["cases"] for run in runs] for each, runs in measured.items()}
    medians = {each: float(np.median(spread)) for each, spread in per_case.items()}
    for each, runs in measured.items():
        spread = per_case[each]
        planned = runs[-1]["planned_bytes"]
        result.rows.append(
            [
                each if runs[0]["cases"] == cases else f"{each} ({runs[0]['cases']} volumes)",
                seconds(medians[each]),
                f"{seconds(min(spread))} … {seconds(max(spread))}",
                f"{medians[each] / medians[LOOP]:.2f}",
                mebibytes(max(run["peak_bytes"] for run in runs)),
                "" if planned is None else mebibytes(planned),
            ]
        )
    result.data["runs"] = measured
    result.data["command"] = " ".join(["python -m bench.batch", *sys.argv[1:]])
    result.chart = Chart({"one case": medians}, "seconds per case, median", logarithmic=False, baseline=LOOP)
    result.publish(folder)


if __name__ == "__main__":
    main()
