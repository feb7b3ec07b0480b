"""`gpu-infer doctor` as a whole: without a server here, with one in the slow test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import SimpleITK as sitk
from typer.testing import CliRunner

from gpu_infer.cli.main import app

NOBODY = "127.0.0.1:9"


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("INPUT", "OUTPUT", "PUBLISHING", "LOGS", "TRTISURI", "CONFIG_INFERENCE"):
        monkeypatch.delenv(f"NVIDIA_CLARA_{name}", raising=False)


def _checks(*arguments: str) -> tuple[int, dict[str, dict[str, Any]]]:
    result = CliRunner().invoke(app, ["doctor", "--json", *arguments])
    return result.exit_code, {check["name"]: check for check in json.loads(result.stdout)}


def test_no_server(tmp_path: Path) -> None:
    code, checks = _checks("--triton", NOBODY, "--wait", "0.1", "--output", str(tmp_path))
    assert code == 4
    assert checks["triton"]["status"] == "fail"
    assert NOBODY in checks["triton"]["found"]
    assert checks["output"]["status"] == "ok"
    assert checks["config"]["status"] == "ok"
    assert "input" not in checks


def test_folders_in_force_without_an_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPU_INFER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NVIDIA_CLARA_PUBLISHING", str(tmp_path / "publish"))
    defaults = check_writable_refuses(monkeypatch, "/output")
    code, checks = _checks("--triton", NOBODY, "--wait", "0.1")
    assert code == 4
    assert checks["output"]["status"] == "warn"  # nobody named it: another host has it
    assert checks["output"]["found"] == "/output cannot be written: Read-only file system"
    assert "logs" not in checks  # the output folder, which is checked once
    assert defaults == ["/output"]
    assert checks["publish"]["found"].startswith(f"{tmp_path}/publish (will be made): ")
    assert checks["cache"]["found"].startswith(f"{tmp_path}/cache: ")
    code, checks = _checks("--triton", NOBODY, "--wait", "0.1", "--output", "/output")
    assert code == 2
    assert checks["output"]["status"] == "fail"


def check_writable_refuses(monkeypatch: pytest.MonkeyPatch, *folders: str) -> list[str]:
    """Let these folders be on a read-only file system; the list gets those that were tried."""
    from gpu_infer.doctor import examine
    from gpu_infer.doctor.check import Check

    check, tried = examine.check_writable, list[str]()

    def check_writable(name: str, folder: Path) -> Check:
        if str(folder) not in folders:
            return check(name, folder)
        tried.append(str(folder))
        return Check(name, "fail", f"{folder} cannot be written: Read-only file system", "mount it", 2)

    monkeypatch.setattr(examine, "check_writable", check_writable)
    return tried


def test_variables_that_name_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv("GPU_INFER_KERNELS", str(tmp_path / "none"))
    monkeypatch.setenv("CUPY_CACHE_DIR", str(file))
    result = CliRunner().invoke(app, ["doctor", "--triton", NOBODY, "--wait", "0.1"])
    assert result.exit_code == 2
    assert f"fail  folders: GPU_INFER_KERNELS: no folder {tmp_path}/none, expected" in result.stdout
    assert f"fail  folders: CUPY_CACHE_DIR: {file} cannot be a folder, found a file at {file}" in result.stdout
    assert "triton: no Triton server ready" in result.stdout


def test_addresses_that_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NVIDIA_CLARA_TRTISURI", NOBODY)
    monkeypatch.setenv("CLARA_TRITON_URI", "127.0.0.1:2")
    _, checks = _checks("--wait", "0.1")
    assert checks["settings"]["status"] == "warn"
    assert checks["settings"]["found"].startswith(f"NVIDIA_CLARA_TRTISURI={NOBODY} and CLARA_TRITON_URI=127.0.0.1:2")


def test_lines_where_there_is_no_terminal() -> None:
    result = CliRunner().invoke(app, ["doctor", "--triton", NOBODY, "--wait", "0.1"])
    assert any(line.startswith("ok    packages: numpy ") for line in result.stdout.splitlines())
    assert any(line.startswith("fail  triton: ") and " → " in line for line in result.stdout.splitlines())


def test_a_failure_is_one_line_on_stderr(tmp_path: Path) -> None:
    options = ("--triton", NOBODY, "--wait", "0.1", "--output", str(tmp_path))
    for form in ((), ("--json",)):
        result = CliRunner().invoke(app, ["doctor", *options, *form])
        assert result.exit_code == 4
        (line,) = result.stderr.splitlines()
        assert line.startswith("gpu-infer: error: doctor: 1 of ")
        assert " checks failed, the first: triton: no Triton server ready within 0.1 s: " in line


def test_the_first_failure_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NVIDIA_CLARA_OUTPUT", "/proc/none")
    code, checks = _checks("--triton", NOBODY, "--wait", "0.1")
    assert code == 2
    assert checks["output"]["found"] == "/proc/none cannot be written: No such file or directory"


def test_a_bad_config_and_a_bad_input_are_named(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text("{")
    code, checks = _checks(
        *("--triton", NOBODY, "--wait", "0.1", "--config", str(tmp_path / "c.json"), "--input", str(tmp_path / "in"))
    )
    assert code == 3
    assert checks["input"]["exit_code"] == 3
    assert checks["config"]["exit_code"] == 2
    assert "c.json" in checks["config"]["found"]


@pytest.mark.slow
def test_with_a_server(triton_server: Any) -> None:
    code, checks = _checks("--triton", triton_server.grpc, "--model", "threshold_half", "--roi", "16,16,16")
    assert code == 0
    assert checks["triton"]["found"].endswith(f"at {triton_server.grpc} over grpc")
    assert checks["model"]["status"] == "ok"
    assert checks["model"]["found"] == "threshold_half version 1: FP32 1×?×?×? → 2×?×?×?, batch up to 4"
    assert checks["voxels"]["found"].startswith("system_shm on the cpu; not cuda_shm: ")
    assert checks["leftovers"]["found"] == "none"
    assert "fit" not in checks


@pytest.mark.slow
def test_whether_a_volume_fits(triton_server: Any, tmp_path: Path) -> None:
    image = sitk.Image([40, 30, 20], sitk.sitkInt16)
    image.SetSpacing((0.8, 0.8, 5.0))
    sitk.WriteImage(image, tmp_path / "scan.mhd")
    arguments = ("--triton", triton_server.grpc, "--roi", "16,16,16", "--input", str(tmp_path))
    code, checks = _checks(*arguments, "--model", "threshold_half")
    assert code == 0
    # Windows of 16 stand 12 apart, the last one moved back: starts 0, 12, 24 | 0, 12, 14 | 0, 4.
    assert checks["fit"]["found"].startswith("18 windows over 40×30×20, peak ")
    code, checks = _checks(*arguments, "--model", "three_channels")
    assert code == 4
    assert "channel" in checks["fit"]["found"]


@pytest.mark.slow
def test_an_open_window_and_a_missing_model(triton_server: Any) -> None:
    code, checks = _checks("--triton", triton_server.http, "--model", "threshold_half")
    assert code == 0
    assert checks["model"]["status"] == "warn"
    assert "--roi" in checks["model"]["remedy"]
    code, checks = _checks("--triton", triton_server.http, "--model", "no_such_model")
    assert code == 4
    assert "no_such_model" in checks["model"]["found"]
    assert "threshold_half" in checks["model"]["found"]
