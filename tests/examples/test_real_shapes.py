"""examples/configs: `validate` prints for every shape of configuration what the text file of the same name says."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from cudasim.simulated import simulated_cupy
from operator_helpers import write_nifti

from gpu_infer.backends.base.backend import Backend
from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.config.load import load_config

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / "examples" / "configs"
PROGRAM = Path(sys.executable).parent / "gpu-infer"
SHAPES = sorted(path for path in CONFIGS.glob("*.txt"))


def test_every_configuration_has_its_expected_output() -> None:
    used = {shlex.split(path.read_text(encoding="utf-8").splitlines()[0])[3] for path in SHAPES}
    assert used == {str(path.relative_to(ROOT)) for path in CONFIGS.rglob("*.json")}


@pytest.mark.parametrize("path", SHAPES, ids=lambda path: path.stem)
def test_validate_prints_what_the_file_says(path: Path) -> None:
    first, expected = path.read_text(encoding="utf-8").split("\n", 1)
    prompt, program, *arguments = shlex.split(first)
    assert (prompt, program) == ("$", "gpu-infer")
    environ = os.environ | {"PYTHONUTF8": "1"}  # texts are compared, whatever the locale is
    command = [str(PROGRAM), *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, encoding="utf-8", check=False, timeout=300
    )
    log = [re.sub(r"^\S+ \S+ (INFO +)[\w.]+: ", "INFO ", line) for line in done.stderr.splitlines()]
    printed = "\n".join([*log, *done.stdout.splitlines(), ""])
    assert printed.replace(str(ROOT), "…") == expected
    assert done.returncode == (2 if "error:" in expected else 0)


@pytest.fixture(params=["cpu", "gpu"])
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    if request.param == "cpu":
        yield CpuBackend()
        return
    with simulated_cupy() as module:
        yield module.GpuBackend()


def test_labels_of_the_custom_argmax(backend: Backend) -> None:
    """As Clara's users write it in NumPy: argmax + 1, and 0 where every score is below the threshold."""
    load_config(CONFIGS / "own_component" / "config" / "config_aiaa.json", {})
    transform = import_module("strongest_above").StrongestAbove(fields=["model"], threshold=0.4)
    scores = np.random.default_rng(5).choice(np.arange(0, 1, 0.1), (3, 9, 8, 7)).astype(np.float32)
    expected = np.argmax(scores, 0) + 1
    expected[np.all(scores < np.float32(0.4), axis=0)] = 0
    assert set(np.unique(expected)) == {0, 1, 2, 3}
    labels = transform.apply(backend.upload(scores), None, backend)
    np.testing.assert_array_equal(backend.download(labels)[0], expected)


@pytest.mark.slow
def test_an_exported_model_runs(tmp_path: Path, triton_server: Any) -> None:
    """The toy model's scores are (0.5, x), so label 1 is where the prepared image exceeds 0.5."""
    models = json.loads((CONFIGS / "exported.json").read_text(encoding="utf-8"))
    config = tmp_path / "exported.json"
    config.write_text(json.dumps({"threshold_half": models["liver_v2"], "spleen_v1": models["spleen_v1"]}))
    volume = np.random.default_rng(8).integers(-300, 400, (24, 21, 19), np.int16)
    case = write_nifti(tmp_path / "case.nii.gz", volume, np.diag([1.0, 1.0, 1.5, 1.0]))
    options = ["--model", "threshold_half", "--roi", "16,16,16", "--triton", triton_server.grpc, "--wait", "30"]
    places = ["--input", case, "--output", tmp_path / "out", "--logs", tmp_path / "logs", "--publish", ""]
    command = [str(PROGRAM), "run", "--config", str(config), *map(str, places), *options]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "out" / "case.mhd"))).transpose(2, 1, 0)
    np.testing.assert_array_equal(labels, np.clip((volume.astype(float) + 20) / 220, 0, 1) > 0.5)
    report = json.loads((tmp_path / "logs" / "report.json").read_text(encoding="utf-8"))
    assert report["outputs"][0]["labels"]["1"]["name"] == "liver"
