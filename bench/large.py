"""A volume larger than memory, from file to file: `python -m bench.large [--shape 2048 2048 2000] [--gib 3]`.

Makes a uint16 phantom of balls and of slices full of noise as .mhd, .nii or .nii.gz, most of it holes of the file,
segments it strip by strip with a threshold on a local Triton (windows of 128³ by default), and compares every label
with the voxels, a few slices at a time. With --both, the volume is segmented whole in memory, too, and both label maps
must be the same files.
"""

from __future__ import annotations

import argparse
import filecmp
import gzip
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header
from numpy.typing import NDArray

from bench.support.addresses import Addresses
from bench.support.output import RESULTS, Result, add_results, mebibytes, seconds
from gpu_infer.triton.local.serve import LocalServer
from gpu_infer.volume.geometry import Geometry
from gpu_infer.writers.gzip_member import write_member
from gpu_infer.writers.metaimage import format_fields, header_fields

MODELS = Path(__file__).parents[1] / "tests" / "models"
Shape = tuple[int, int, int]
_LEVEL = 500
_SLICES = 8
_BLOCK = 1 << 24


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.large", description=__doc__)
    parser.add_argument("--shape", type=int, nargs=3, default=(2048, 2048, 2000))
    parser.add_argument("--gib", type=float, default=2.5, help="free memory that the runs find")
    parser.add_argument("--window", type=int, default=128)
    parser.add_argument("--formats", nargs="+", default=["mhd", "nii"], choices=["mhd", "nii", "nii.gz"])
    parser.add_argument("--both", action="store_true")
    parser.add_argument("--folder", type=Path, help="for the files; default: that of temporary files")
    add_results(parser)
    arguments = parser.parse_args()
    x, y, z = arguments.shape
    with tempfile.TemporaryDirectory(dir=arguments.folder) as scratch:
        folder, results = Path(scratch), arguments.results
        run((x, y, z), arguments.formats, folder, arguments.gib, arguments.window, both=arguments.both, results=results)


def run(
    shape: Shape, formats: list[str], folder: Path, gib: float, window: int, *, both: bool, results: Path = RESULTS
) -> None:
    """Measure and publish large.json, the volumes in `folder`; raises AssertionError for a wrong label."""
    config = write_configuration(folder, window)
    rows = []
    with LocalServer(MODELS) as server:
        for each in formats:
            volume = make_phantom(folder / f"case.{each}", shape)
            report = run_side(volume, folder / f"{each}-strips", config, Addresses.of(server), each, gib)
            labels = Path(report["outputs"][0]["files"][0]["path"])
            wrong = compare(volume, labels, shape)
            assert not wrong, f"{wrong} labels are wrong"
            rows.append([f"{volume.name}, strip by strip", *_facts(report)])
            if both:
                whole = run_side(volume, folder / f"{each}-whole", config, Addresses.of(server), each, None)
                other = Path(whole["outputs"][0]["files"][0]["path"])
                assert filecmp.cmp(data_file(labels), data_file(other), shallow=False), "the label maps differ"
                rows.append([f"{volume.name}, whole", *_facts(whole)])
    size = "×".join(map(str, shape))
    result = Result("large", f"{size} uint16, windows of {window}³", ["volume", "whole run", "planned", "peak"], rows)
    result.publish(results)


def make_phantom(path: Path, shape: Shape) -> Path:
    """Write a phantom of balls of value 1000, and of slices full of noise; the rest is holes of the file.

    A .nii.gz is compressed from a .nii, which is removed.
    """
    if path.suffix == ".gz":
        plain = make_phantom(path.with_suffix(""), shape)
        with plain.open("rb") as source, path.open("wb") as target:
            write_member(target, iter(lambda: source.read(_BLOCK), b""), "phantom")
        plain.unlink()
        return path
    geometry = Geometry(shape, np.diag([-0.1, -0.1, 0.1, 1.0]))
    start = 0
    if path.suffix == ".mhd":
        fields = header_fields(geometry, np.dtype(np.uint16), f"{path.stem}.raw", path.name)
        path.write_text(format_fields(fields), encoding="utf-8")
    else:
        header: Any = Nifti1Header() if max(shape) < 1 << 15 else Nifti2Header()
        header.set_data_dtype(np.uint16)
        header.set_data_shape(shape)
        header.set_sform(geometry.affine, code=1)
        header["vox_offset"] = start = header.template_dtype.itemsize + 4
        header["pixdim"][1:4] = geometry.spacing
        path.write_bytes(header.binaryblock + bytes(4))
    rng = np.random.default_rng(5)
    x, y, z = shape
    radius = max(min(shape) // 40, 2)
    i, j = (np.arange(n, dtype=np.int64) for n in (x, y))
    with data_file(path).open("r+b" if path.suffix == ".nii" else "w+b") as file:
        file.truncate(start + x * y * z * 2)
        for k in range(z):
            # balls of one layer have their centres in one slice; most slices have none, and take no disk
            middle = k - k % (16 * radius) + 2 * radius
            inside = radius**2 - (k - middle) ** 2
            if k % 97 == 5:
                plane = rng.integers(0, 1000, (y, x)).astype(np.uint16)
            elif inside <= 0:
                continue
            else:
                shift = middle % 7
                near = [(n + shift) % (4 * radius) - 2 * radius for n in (i, j)]
                plane = np.where(near[1][:, None] ** 2 + near[0][None] ** 2 < inside, 1000, 0).astype(np.uint16)
            file.seek(start + k * x * y * 2)
            file.write(plane.tobytes())
    return path


def compare(volume: Path, labels: Path, shape: Shape) -> int:
    """Number of voxels whose label is not that of a threshold on the voxel."""
    x, y, z = shape
    wrong = ones = 0
    with _open_voxels(volume) as values, _open_voxels(labels) as written:
        for k in range(0, z, _SLICES):
            count = min(_SLICES, z - k) * x * y
            expected = _read(values, count, np.uint16) > _LEVEL
            label = _read(written, count, np.uint8)
            wrong += int((expected != label).sum())
            ones += int(expected.sum())
    assert ones, "the phantom is empty"
    return wrong


def data_file(path: Path) -> Path:
    """The file with the voxels."""
    return path.with_suffix(".raw") if path.suffix == ".mhd" else path


def _open_voxels(path: Path) -> Any:
    """The file with the voxels at its first voxel, decompressed."""
    if path.suffix == ".mhd":
        return data_file(path).open("rb")
    file: Any = gzip.open(path) if path.suffix == ".gz" else path.open("rb")  # noqa: SIM115 - the caller closes it
    file.seek(int(nib.load(path).dataobj.offset))
    return file


def _read(file: Any, count: int, dtype: Any) -> NDArray[Any]:
    return np.frombuffer(file.read(count * np.dtype(dtype).itemsize), dtype)


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
            {"name": "ThresholdAcrossChannels", "args": {"fields": "model", "threshold": (_LEVEL + 0.5) / 1000}}
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
        mebibytes(report["memory"]["planned_peak_bytes"]),
        mebibytes(report["peak_rss_bytes"]),
    ]


if __name__ == "__main__":
    main()
