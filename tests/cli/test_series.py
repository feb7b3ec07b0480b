"""`gpu-infer series`: the list of a study, in each of its forms."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from dicom_study import IDENTITY, MARKS, THIN_UID, write_study, zip_folder
from operator_helpers import config, write_config
from typer.testing import CliRunner

from gpu_infer.cli.main import app
from gpu_infer.errors import InputError


def series(path: Path, *options: str) -> str:
    result = CliRunner().invoke(app, ["series", str(path), *options], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def listed(path: Path, *options: str) -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = json.loads(series(path, "--json", *options))
    return content


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_json(tmp_path: Path, form: str) -> None:
    study = write_study(tmp_path / "study")
    path = study if form == "folder" else zip_folder(study, tmp_path / "study.zip")
    content = listed(path)
    assert [(s["number"], s["modality"], s["series"], s["slices"], s["usable"]) for s in content] == [
        (1, "CT", "1", 1, False),
        (2, "CT", "2", 24, True),
        (3, "CT", "3", 8, True),
        (4, "OT", "4", 1, False),
        (5, "SR", "5", 0, False),
    ]
    assert content[1] == {
        "number": 2,
        "modality": "CT",
        "series": "2",
        "description": "Seriesmark se1",
        "slices": 24,
        "size": [5, 4],
        "spacing_mm": [0.8, 0.7, 2.5],
        "usable": True,
        "reason": None,
    }
    assert content[0]["reason"] == "localizer"
    assert content[3]["reason"].startswith("st0/se3/SC1: colour images, found SamplesPerPixel 3")
    assert content[4]["reason"] == "no pixels: a report, a structure set or the like"


def test_the_identity_only_if_asked_for(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study")
    for text in (series(study), series(study, "--json")):
        assert [mark for mark in MARKS if mark in text] == ["Seriesmark"]
    identity = listed(study, "--with-identity")[1]["identity"]
    assert {key: identity[key] for key in IDENTITY if key in identity} == {
        key: value for key, value in IDENTITY.items() if key != "ReferringPhysicianName"
    }
    assert identity["SeriesInstanceUID"] == THIN_UID
    assert f"SeriesInstanceUID={THIN_UID}" in series(study, "--with-identity")


def test_lines_of_a_pipe(tmp_path: Path) -> None:
    lines = series(write_study(tmp_path / "study")).splitlines()
    assert lines[0] == "1\tCT\t1\tSeriesmark se0\t1\t5×4\t\tnot usable: localizer"
    assert lines[1] == "2\tCT\t2\tSeriesmark se1\t24\t5×4\t0.8×0.7×2.5\tvolume"
    assert len(lines) == 5


def test_a_table_at_a_terminal(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "gpu_infer", "series", str(study)]
    environment = {"PATH": "/usr/bin:/bin", "TERM": "dumb", "COLUMNS": "120"}
    with subprocess.Popen(command, env=environment, stdout=theirs) as process:
        os.close(theirs)
        content = b""
        try:
            while chunk := os.read(ours, 65536):
                content += chunk
        except OSError:  # the other end is closed
            pass
    os.close(ours)
    assert process.returncode == 0
    text = content.decode()
    assert "spacing (mm)" in text.splitlines()[0]
    assert "Seriesmark se1" in text


@pytest.mark.parametrize("name", ["nothing", "empty", "chest.nii"])
def test_no_study(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "chest.nii").touch()
    command = [sys.executable, "-m", "gpu_infer", "series", str(tmp_path / name)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False, timeout=60)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith(f"gpu-infer: error: {tmp_path / name}: ")
    assert done.stderr.count("\n") == 1


def test_validate_and_doctor_choose_as_a_run_does(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study")
    path = write_config(tmp_path / "config", config("threshold_half", roi_size=[4, 4, 4]))
    models = Path(__file__).parents[1] / "models"
    options = ["--models", str(models), "-i", str(study)]
    done = CliRunner().invoke(app, ["validate", str(path), *options, "--series", "3"])
    assert done.exit_code == 0
    assert "5×4×8" in done.stdout
    with pytest.raises(InputError, match="2 of them are volumes"):
        CliRunner().invoke(app, ["validate", str(path), *options], catch_exceptions=False)
    done = CliRunner().invoke(app, ["doctor", "--json", "-i", str(study), "--triton", "127.0.0.1:9", "--wait", "0.1"])
    check = {c["name"]: c for c in json.loads(done.stdout)}["input"]
    assert check["status"] == "fail"
    assert "2 of them are volumes" in check["found"]
    chosen = ["-i", str(study), "--series", "3", "--triton", "127.0.0.1:9", "--wait", "0.1"]
    done = CliRunner().invoke(app, ["doctor", "--json", *chosen])
    assert {c["name"]: c["status"] for c in json.loads(done.stdout)}["input"] == "ok"
