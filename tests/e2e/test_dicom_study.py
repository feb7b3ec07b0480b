"""A DICOM study through the whole operator: the chosen series, names of outputs, and no patient in any of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_series import hounsfield
from dicom_study import IDENTITY, MARKS, THIN, THIN_UID, write_study, zip_folder
from operator_helpers import config, write_config

from gpu_infer.writers.page.document import VIEWER_NAME

CONTENT = config("threshold_half", roi_size=[4, 4, 4]) | {"series": ["slices>100", "ImageType~AXIAL"]}


def run(root: Path, *options: str, address: str = "127.0.0.1:9") -> subprocess.CompletedProcess[str]:
    """The command line on root/study with every output below root/out; nothing is written elsewhere."""
    out = root / "out"
    (root / "tmp").mkdir(exist_ok=True)
    command = [sys.executable, "-m", "gpu_infer", "run", "--triton", address, "--device", "cpu"]
    command += [] if "--wait" in options else ["--wait", "20"]
    command += ["-o", str(out / "labels"), "--publish", str(out / "publish"), "--logs", str(out / "logs"), "--preview"]
    command += ["--config", str(write_config(root / "config", CONTENT)), *options]
    environment = {**os.environ, "TMPDIR": str(root / "tmp")}
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False, timeout=200, env=environment)
    assert list((root / "tmp").glob("gpu_infer*")) == []
    return done


def marks(root: Path, *texts: str) -> set[str]:
    """Parts of the identity that are in a file below root/out, in its name, or in a text."""
    contents = [text.encode() for text in texts]
    for path in (root / "out").rglob("*"):
        contents.append(os.fsencode(path.relative_to(root)))
        if path.is_file() and path.name != VIEWER_NAME:  # 2 MB of somebody else's program have any four digits
            contents.append(path.read_bytes())
    return {mark for mark in MARKS if any(mark.encode() in content for content in contents)}


@pytest.mark.slow
@pytest.mark.parametrize("form", ["folder", "zip"])
def test_no_output_has_the_patient(tmp_path: Path, triton_server: Any, form: str) -> None:
    study = write_study(tmp_path / "study")
    path = study if form == "folder" else zip_folder(study, tmp_path / "exam.zip")
    done = run(tmp_path, "-i", str(path), "--debug", "--verbose", address=triton_server.grpc)
    assert done.returncode == 0, done.stderr
    assert marks(tmp_path, done.stdout, done.stderr) == set()
    assert "gpu_infer-zip" not in done.stderr + (tmp_path / "out/logs/gpu_infer.log").read_text(encoding="utf-8")
    names = {file.name for file in (tmp_path / "out").rglob("*") if file.is_file()}
    assert names >= {
        "se1.mhd",
        "se1.raw",
        "se1.out.mhd",
        "report.json",
        "gpu_infer.log",
        "se1.preview.png",
        "config.meta",
    }
    labels = sitk.GetArrayFromImage(sitk.ReadImage(tmp_path / "out/labels/se1.mhd")).transpose(2, 1, 0)
    np.testing.assert_array_equal(labels, hounsfield(THIN)[0] > 0)
    report = json.loads((tmp_path / "out/logs/report.json").read_text(encoding="utf-8"))
    assert report["input"]["series"] == {"number": 2, "of": 5, "modality": "CT"}
    assert report["input"]["path"] == f"{path}/st0/se1"
    assert len(report["input"]["sha256"]) == 64
    assert "identity" not in report["input"]


@pytest.mark.slow
def test_the_identity_is_shown_if_asked_for(tmp_path: Path, triton_server: Any) -> None:
    study = write_study(tmp_path / "study")
    pattern = "{PatientID}_{SeriesNumber}"
    done = run(tmp_path, "-i", str(study), "--with-identity", "--name", pattern, address=triton_server.grpc)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out/logs/report.json").read_text(encoding="utf-8"))
    identity = report["input"]["identity"]
    assert identity["PatientName"] == IDENTITY["PatientName"]
    assert identity["SeriesInstanceUID"] == THIN_UID
    assert Path(report["output"]["mhd"]).name == "PIDMARK_47110815-12abe790_2.mhd"
    assert {Path(path).name.split(".")[0] for path in report["published"]} == {
        *("PIDMARK_47110815-12abe790_2", "config_render", "config"),
    }
    assert {"Zyxmark", "ACCMARK09"} & marks(tmp_path, done.stderr, done.stdout)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--series", "Modality=CT"], "fits 2, 3, expected exactly one"),
        (["--series", f"{THIN_UID}0"], "the UID fits none"),
        (["--series", "1"], "series 1 cannot be used: localizer"),
        (["--name", "{StationName}"], "StationName is empty or missing"),
        (["--series", "2", "--with-identity"], "no Triton server"),
        (["--series", "5"], "no pixels"),
    ],
)
def test_no_error_has_the_patient(tmp_path: Path, options: list[str], message: str) -> None:
    study = write_study(tmp_path / "study")
    done = run(tmp_path, "-i", str(study), "--debug", "--wait", "0.2", *options)
    assert done.returncode in (3, 4)
    assert message in done.stderr
    if "--with-identity" not in options:
        assert marks(tmp_path, done.stdout, done.stderr) == set()
    else:
        assert marks(tmp_path, done.stdout, done.stderr) > {"Zyxmark"}


@pytest.mark.parametrize("seed", range(4))
def test_no_error_of_a_damaged_file_has_the_patient(tmp_path: Path, seed: int) -> None:
    study = write_study(tmp_path / "study")
    rng = np.random.default_rng(seed)
    for path in sorted((study / "st0" / "se1").iterdir())[::3]:
        content = bytearray(path.read_bytes())
        for at in rng.integers(132, len(content) - 60, 3):
            content[at] ^= int(rng.integers(1, 256))
        path.write_bytes(content)
    done = run(tmp_path, "-i", str(study), "--series", "2", "--debug", "--wait", "0.1")
    assert done.returncode in (3, 4)
    assert marks(tmp_path, done.stdout, done.stderr) == set()
