"""Checks of `gpu-infer doctor` that a run with the same options would make: settings, folders and device."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import SimpleITK as sitk
from doctor_checks import NOBODY, run_checks
from typer.testing import CliRunner

from gpu_infer.cli.main import app
from gpu_infer.errors import ConfigError

pytestmark = pytest.mark.usefixtures("plain_environment")


def test_an_output_that_is_the_publish_folder(tmp_path: Path) -> None:
    folder = str(tmp_path / "out")
    result = CliRunner().invoke(
        app, ["doctor", "--triton", NOBODY, "--wait", "0.1", "--output", folder, "--publish", folder]
    )
    assert result.exit_code == 2
    assert f"fail  output: {folder}: output and publish folder are the same" in result.stdout


def test_an_input_that_the_output_would_replace(tmp_path: Path) -> None:
    sitk.WriteImage(sitk.Image([4, 4, 4], sitk.sitkInt16), tmp_path / "scan.mhd")
    place = str(tmp_path)
    result = CliRunner().invoke(
        app, ["doctor", "--triton", NOBODY, "--wait", "0.1", "--input", place, "--output", place]
    )
    assert result.exit_code == 2
    (line,) = (line for line in result.stdout.splitlines() if line.startswith("fail  output: "))
    assert f"{tmp_path}/scan.mhd" in line


def test_every_option_of_run_is_one_of_doctor() -> None:
    from typer.main import get_command

    commands: Any = get_command(app)
    options = {name: {o for p in commands.commands[name].params for o in p.opts} for name in ("run", "doctor")}
    assert options["doctor"] == options["run"] | {"--clean", "--warm-up"}


def test_a_run_with_options_of_outputs(tmp_path: Path) -> None:
    """Options that mean nothing for the checks have no effect; the files of the others are checked."""
    sitk.WriteImage(sitk.Image([4, 4, 4], sitk.sitkInt16), tmp_path / "scan.nii")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/scan.statistics.csv").write_text("of another program")
    folders = ("--input", str(tmp_path / "scan.nii"), "--output", str(tmp_path / "out"), "--triton", NOBODY)
    code, checks = run_checks(*folders, "--wait", "0.1", "--preview", "-q", "--mode", "monai", "--format", "nii.gz")
    assert code == 4
    assert checks["output"]["status"] == "ok"
    code, checks = run_checks(*folders, "--wait", "0.1", "--statistics")
    assert code == 2
    assert f"{tmp_path}/out/scan.statistics.csv" in checks["output"]["found"]


@pytest.mark.parametrize(
    ("options", "name", "code", "found"),
    [
        (("--scores", "liver"), "config", 2, "--scores: found 'liver', expected the number of a label"),
        (("--dicom-sr",), "config", 2, "--dicom-sr needs --dicom-seg"),
        (("--labels", "/none.json"), "config", 2, "/none.json"),
        (("--dicom-seg", "auto"), "dicom", 3, "DICOM outputs need the headers of a series, found nifti"),
        (("--page",), "output", 2, "--page: found no publish folder"),
        (("--slots", "0"), "settings", 2, "--slots: found 0, expected at least 1"),
    ],
)
def test_options_that_a_run_refuses(tmp_path: Path, options: tuple[str, ...], name: str, code: int, found: str) -> None:
    sitk.WriteImage(sitk.Image([4, 4, 4], sitk.sitkInt16), tmp_path / "scan.nii")
    folders = ("--input", str(tmp_path / "scan.nii"), "--output", str(tmp_path / "out"))
    got, checks = run_checks("--triton", NOBODY, "--wait", "0.1", *folders, *options)
    assert got == code
    assert (checks[name]["status"], checks[name]["exit_code"]) == ("fail", code)
    assert found in checks[name]["found"]


def test_a_device_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    from gpu_infer.backends import choose
    from gpu_infer.errors import DeviceError

    def gpu() -> None:
        raise DeviceError("no device", remedy="attach one")

    monkeypatch.setattr(choose, "_gpu", gpu)
    code, checks = run_checks("--triton", NOBODY, "--wait", "0.1", "--device", "gpu")
    assert code == DeviceError.exit_code
    assert checks["device"]["found"] == "no device"


def test_settings_that_a_run_refuses_leave_the_other_checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.touch()
    server = ("--triton", NOBODY, "--wait", "0.1")
    code, checks = run_checks(*server, "--output", str(file), "--slots", "0", "--publish", str(tmp_path))
    assert code == 2
    assert checks["output"]["found"].startswith(f"--output: found '{file}', but {file} is a file")
    assert checks["settings"]["found"].startswith("--slots: found 0")
    assert (checks["publish"]["status"], checks["config"]["status"]) == ("ok", "ok")
    assert NOBODY in checks["triton"]["found"]

    monkeypatch.setenv("NVIDIA_CLARA_OUTPUT", str(file))
    code, checks = run_checks(*server)
    assert code == 2
    assert checks["output"]["status"] == "fail"
    assert NOBODY in checks["triton"]["found"]


def test_a_contradiction_takes_the_option_that_the_error_names(tmp_path: Path) -> None:
    _, checks = run_checks("--triton", NOBODY, "--wait", "0.1", "--models", str(tmp_path))
    assert checks["settings"]["found"] == "--models needs --triton local"
    assert NOBODY in checks["triton"]["found"]


def test_settings_with_a_fault_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPU_INFER_CONTAINER", "perhaps")
    code, checks = run_checks("--triton", NOBODY, "--wait", "0.1")
    assert code == 2
    assert "GPU_INFER_CONTAINER" in checks["settings"]["found"]
    assert checks["memory"]["status"] == "ok"
    assert "triton" not in checks


def test_faults_come_in_the_order_of_a_run(tmp_path: Path) -> None:
    """An input that is missing, an output that cannot be written, an input that cannot be read."""
    damaged = tmp_path / "scan.nii"
    damaged.write_bytes(b"no header")
    for source, code in ((tmp_path / "none.nii", 3), (damaged, 2)):
        folders = ("--input", str(source), "--output", "/proc/none")
        got, checks = run_checks("--triton", NOBODY, "--wait", "0.1", *folders)
        assert got == code
        assert (checks["input"]["exit_code"], checks["output"]["exit_code"]) == (3, 2)
        assert CliRunner().invoke(app, ["run", "--triton", NOBODY, *folders]).exception.exit_code == code  # type: ignore[union-attr]


def test_too_little_space_for_the_label_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sitk.WriteImage(sitk.Image([40, 30, 20], sitk.sitkInt16), tmp_path / "scan.nii")
    wanted: list[int] = []

    def full(folder: Path, nbytes: int) -> None:
        from gpu_infer.errors import ResourceError

        assert folder == tmp_path
        wanted.append(nbytes)
        raise ResourceError("full", remedy="free space")

    monkeypatch.setattr("gpu_infer.writers.atomic.check_space", full)
    folders = ("--input", str(tmp_path / "scan.nii"), "--output", str(tmp_path / "out"))
    code, _ = run_checks("--triton", NOBODY, "--wait", "0.1", *folders)
    assert code == 5
    code, _ = run_checks("--triton", NOBODY, "--wait", "0.1", *folders, "--format", "mhd", "--format", "nii")
    assert code == 5
    voxels = 40 * 30 * 20  # of one byte
    assert [number // voxels for number in wanted] == [1, 2]


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
    _, checks = run_checks("--wait", "0.1")
    assert checks["settings"]["status"] == "warn"
    assert checks["settings"]["found"].startswith(f"NVIDIA_CLARA_TRTISURI={NOBODY} and CLARA_TRITON_URI=127.0.0.1:2")


@pytest.mark.parametrize(("name", "value"), [("NUMBA_NUM_THREADS", "0"), ("NUMBA_THREADING_LAYER", "opnemp")])
def test_settings_of_numba_with_which_no_kernel_runs(
    name: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check of the kernels reports them, and everything else is checked as well."""
    monkeypatch.setenv(name, value)
    code, checks = run_checks("--triton", NOBODY, "--wait", "0.1", "--output", str(tmp_path))
    assert code == 2
    assert checks["kernels"]["status"] == "fail"
    assert checks["kernels"]["found"].startswith(f"{name}: found '{value}', expected ")
    assert checks["kernels"]["exit_code"] == 2
    assert checks["output"]["status"] == "ok"
    assert checks["triton"]["status"] == "fail"
    result = CliRunner().invoke(app, ["doctor", "--warm-up", "--triton", NOBODY, "--wait", "0.1"])
    assert isinstance(result.exception, ConfigError)
    assert str(result.exception).startswith(f"{name}: found")
