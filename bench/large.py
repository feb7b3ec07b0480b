"""A volume larger than memory, from file to file: `python -m bench.large [--shape 2048 2048 2000] [--gib 2.5]`.

Makes uint16 phantoms of balls and of slices full of noise as .mhd, .nii or .nii.gz, most of them holes of the file,
segments them strip by strip with a threshold on a local Triton (windows of 128³ by default), and compares every label
with the voxels, a few slices at a time. A phantom that fits into the machine's memory is segmented whole in memory,
too, and both label maps must be the same files.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.sides.large_phantom import LEVEL, Shape, compare, data_file, make_phantom
from bench.sides.monai_memory import least_bytes
from bench.support.addresses import Addresses
from bench.support.output import RESULTS, Result, add_results, seconds
from gpu_infer.system.host_memory import free_host_bytes
from gpu_infer.triton.local.serve import LocalServer

MODELS = Path(__file__).parents[1] / "tests" / "models"
SHAPES: tuple[Shape, ...] = ((512, 512, 512), (2048, 2048, 2000))
NOTES = (
    "The files are mostly holes, so that the disk costs nothing, and the model is a threshold.",
    "Free: memory that the run finds; if a volume needs more, it is segmented strip by strip. Planned: peak memory "
    "calculated before the run starts. Used: the process's largest. Every label is right, and the files of both ways "
    "are equal.",
    "MONAI needs: volume, scores and labels in memory; computed, not run.",
)
_WHOLE = 16
"""Bytes per voxel of which a whole run takes less: stored and prepared volume, sums and labels."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.large", description=__doc__)
    parser.add_argument("--shape", type=int, nargs=3, action="append", help="may be given more than once")
    parser.add_argument("--gib", type=float, default=2.5, help="free memory that runs in strips find, at most")
    parser.add_argument("--window", type=int, default=128)
    parser.add_argument("--formats", nargs="+", default=["mhd", "nii"], choices=["mhd", "nii", "nii.gz"])
    parser.add_argument("--folder", type=Path, help="for the files; default: that of temporary files")
    add_results(parser)
    arguments = parser.parse_args()
    shapes = [(x, y, z) for x, y, z in arguments.shape or SHAPES]
    with tempfile.TemporaryDirectory(dir=arguments.folder) as scratch:
        folder, results = Path(scratch), arguments.results
        run(shapes, arguments.formats, folder, arguments.gib, arguments.window, results=results)


def run(
    shapes: list[Shape], formats: list[str], folder: Path, gib: float, window: int, *, results: Path = RESULTS
) -> None:
    """Measure and publish large.json, the volumes in `folder`; raises AssertionError for a wrong label."""
    config = write_configuration(folder, window)
    columns = ["file", "voxels", "run", "free", "time", "planned", "used", "MONAI needs"]
    result = Result("large", f"uint16 phantoms, windows of {window}³, CPU", columns, notes=list(NOTES))
    with LocalServer(MODELS) as server:
        for shape in shapes:
            for each in formats:
                result.rows += measure(shape, each, folder, config, Addresses.of(server), gib)
    result.publish(results)


def measure(shape: Shape, form: str, folder: Path, config: Path, server: Addresses, gib: float) -> list[list[str]]:
    """Rows of a phantom: strip by strip, and whole if that fits."""
    voxels = math.prod(shape)
    size = "×".join(map(str, shape))
    monai = _gib(least_bytes(shape, shape, 1, resampled=False))
    volume = make_phantom(folder / f"case.{form}", shape)
    gib = min(gib, 3 * 2 * voxels / 2**30)  # three times the file's voxels, which is too little for the whole
    report = run_side(volume, folder / f"{form}-strips", config, server, form, gib)
    assert report["plan"]["strips"], "the volume is whole in memory"
    labels = _labels(report)
    wrong = compare(volume, labels, shape)
    assert not wrong, f"{wrong} labels are wrong"
    rows = [[f".{form}", size, "strip by strip", _gib(int(gib * 2**30)), *_facts(report), monai]]
    free = free_host_bytes()
    if _WHOLE * voxels < free:
        whole = run_side(volume, folder / f"{form}-whole", config, server, form, None)
        assert not whole["plan"]["strips"], "the volume is not whole in memory"
        assert filecmp.cmp(data_file(labels), data_file(_labels(whole)), shallow=False), "the label maps differ"
        rows.append([f".{form}", size, "whole", _gib(free), *_facts(whole), monai])
    for path in (volume, data_file(volume)):
        path.unlink(missing_ok=True)
    return rows


def _gib(count: int) -> str:
    return f"{count / 2**30:.2f} GiB"


def _labels(report: dict[str, Any]) -> Path:
    return Path(report["outputs"][0]["files"][0]["path"])


def write_configuration(folder: Path, window: int) -> Path:
    """A threshold by the model one_channel of tests/models."""
    content = {
        "pre_transforms": [
            {"name": "LoadNifti", "args": {"fields": "image"}},
            {"name": "ConvertToChannelsFirst", "args": {"fields": "image"}},
            {
                "name": "ScaleIntensityRange",
                "args": {"fields": "image", "a_min": 0, "a_max": 1000, "b_min": 0, "b_max": 1},
            },
        ],
        "post_transforms": [
            {"name": "ThresholdAcrossChannels", "args": {"fields": "model", "threshold": (LEVEL + 0.5) / 1000}}
        ],
        "writers": [{"name": "WriteNifti", "args": {"field": "model", "dtype": "uint8"}}],
        "inferer": {
            "name": "TRTISScanWindowInferer",
            "args": {"model_name": "one_channel", "roi_size": [window] * 3, "batch_size": 1},
        },
    }
    path = folder / "config_inference.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def run_side(
    volume: Path, output: Path, config: Path, server: Addresses, form: str, gib: float | None
) -> dict[str, Any]:
    """The report of one run in a process of its own."""
    command = [sys.executable, "-m", "bench.sides.large_side", "--input", str(volume), "--output", str(output)]
    command += ["--config", str(config), "--http", server.http, "--grpc", server.grpc, "--format", form]
    command += [] if gib is None else ["--gib", str(gib)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8")
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return report


def _facts(report: dict[str, Any]) -> list[str]:
    return [
        seconds(report["seconds"]),
        _gib(report["memory"]["planned_peak_bytes"]),
        _gib(report["peak_rss_bytes"]),
    ]


if __name__ == "__main__":
    main()
