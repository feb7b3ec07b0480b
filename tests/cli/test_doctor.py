"""`gpu-infer doctor` as a whole: without a server here, with one in the slow tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import SimpleITK as sitk
from config_files import lung
from doctor_checks import NOBODY, run_checks
from typer.testing import CliRunner

from gpu_infer.cli import container
from gpu_infer.cli.main import app
from gpu_infer.settings_sources import FOLDER_VARIABLES
from gpu_infer.triton.shm import host_arenas

MODELS = Path(__file__).parents[1] / "models"


pytestmark = pytest.mark.usefixtures("plain_environment")


def test_no_server(tmp_path: Path) -> None:
    code, checks = run_checks("--triton", NOBODY, "--wait", "0.1", "--output", str(tmp_path))
    assert code == 4
    assert checks["triton"]["status"] == "fail"
    assert NOBODY in checks["triton"]["found"]
    assert checks["output"]["status"] == "ok"
    assert checks["config"]["status"] == "ok"
    assert "input" not in checks


def test_folders_that_nobody_named_are_not_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`/output` may belong to another host; variables name folders as options do."""
    monkeypatch.setenv("GPU_INFER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NVIDIA_CLARA_PUBLISHING", str(tmp_path / "publish"))
    code, checks = run_checks("--triton", NOBODY, "--wait", "0.1")
    assert code == 4
    assert not {"input", "output", "logs"} & set(checks)
    assert checks["publish"]["found"].startswith(f"{tmp_path}/publish (will be created): ")
    assert checks["cache"]["found"].startswith(f"{tmp_path}/cache: ")
    code, checks = run_checks("--triton", NOBODY, "--wait", "0.1", "--output", "/proc/none", "--logs", str(tmp_path))
    assert code == 2
    assert checks["output"]["status"] == "fail"
    assert checks["logs"]["status"] == "ok"


def test_in_a_container_its_folders_are_checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A run in the container uses them without an option."""
    monkeypatch.setattr(container, "CONTAINER_FOLDERS", {name: f"{tmp_path}/{name}" for name in FOLDER_VARIABLES})
    monkeypatch.setenv("GPU_INFER_CONTAINER", "1")
    code, checks = run_checks("--triton", NOBODY, "--wait", "0.1")
    assert code == 3
    assert checks["input"]["status"] == "fail"
    assert checks["input"]["found"].startswith(f"{tmp_path}/input: no such file or folder")
    assert {"input", "output", "publish", "logs"} <= set(checks)


def test_every_check_has_a_group_and_all_fields() -> None:
    result = CliRunner().invoke(app, ["doctor", "--json", "--triton", NOBODY, "--wait", "0.1"])
    checks = json.loads(result.stdout)
    fields = {"name", "status", "found", "remedy", "exit_code", "group", "details"}
    assert all(set(check) == fields for check in checks)
    groups = [check["group"] for check in checks]
    assert list(dict.fromkeys(groups)) == ["install", "machine", "run", "server"]
    assert groups == sorted(groups, key=["install", "machine", "run", "server"].index)


def _connect_remedy(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    from gpu_infer.errors import DeadlineError
    from gpu_infer.triton.client.server import Server

    def nobody(*_: object, **__: object) -> None:
        raise DeadlineError("no Triton server ready within 5 s", remedy="wait")

    monkeypatch.setattr(Server, "connect", nobody)
    code, checks = run_checks(*arguments)
    assert code == 4
    return str(checks["triton"]["remedy"])


def test_without_an_address_the_remedy_names_the_ways_to_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    remedy = _connect_remedy(monkeypatch)
    for way in ("--triton local", "`gpu-infer triton serve`", "--triton HOST:PORT", "NVIDIA_CLARA_TRTISURI"):
        assert way in remedy


def test_with_an_address_the_remedy_names_where_it_is_from(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    remedy = _connect_remedy(monkeypatch, "--triton", "triton.example:8001")
    assert remedy.startswith("start the server, or correct the address (--triton HOST:PORT, NVIDIA_CLARA_TRTISURI)")
    document = lung()
    document["inferer"]["args"]["ip"] = "10.0.0.7"
    (tmp_path / "c.json").write_text(json.dumps(document))
    remedy = _connect_remedy(monkeypatch, "--config", str(tmp_path / "c.json"))
    assert remedy.startswith("start the server, or correct `ip` and `port` of the configuration's inferer")


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
    code, checks = run_checks("--triton", NOBODY, "--wait", "0.1")
    assert code == 2
    assert checks["output"]["found"] == "/proc/none cannot be written: No such file or directory"


def test_a_bad_config_and_a_bad_input_are_named(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text("{")
    code, checks = run_checks(
        *("--triton", NOBODY, "--wait", "0.1", "--config", str(tmp_path / "c.json"), "--input", str(tmp_path / "in"))
    )
    assert code == 2  # a run reads the configuration first
    assert checks["input"]["exit_code"] == 3
    assert checks["config"]["exit_code"] == 2
    assert "c.json" in checks["config"]["found"]


@pytest.mark.slow
def test_with_a_server(triton_server: Any) -> None:
    code, checks = run_checks("--triton", triton_server.grpc, "--model", "threshold_half", "--roi", "16,16,16")
    assert code == 0
    assert checks["triton"]["found"].endswith(f"at {triton_server.grpc} over grpc")
    states = {entry["name"]: entry["state"] for entry in checks["models"]["details"]}
    assert states == {folder.parent.name: "READY" for folder in MODELS.glob("*/config.pbtxt")}
    assert checks["models"]["found"].startswith(f"{len(states)} on the server: threshold_half 1 READY; ")
    assert checks["model"]["status"] == "ok"
    assert checks["model"]["found"] == "threshold_half version 1: FP32 1×?×?×? → 2×?×?×?, batch up to 4"
    assert checks["shared /dev/shm"]["found"] == "the server maps memory of this process"
    assert checks["data transport"]["found"] == "system_shm on the cpu"
    assert checks["leftovers"]["found"] == "none"
    assert "plan" not in checks


@pytest.mark.slow
def test_whether_a_volume_fits(triton_server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = sitk.Image([40, 30, 20], sitk.sitkInt16)
    image.SetSpacing((0.8, 0.8, 5.0))
    sitk.WriteImage(image, tmp_path / "scan.mhd")
    arguments = ("--triton", triton_server.grpc, "--roi", "16,16,16", "--input", str(tmp_path))
    code, checks = run_checks(*arguments, "--model", "threshold_half")
    assert code == 0
    # Windows of 16 stand 12 apart, the last one moved back: starts 0, 12, 24 | 0, 12, 14 | 0, 4.
    assert checks["plan"]["found"].startswith("18 windows over 40×30×20, peak ")
    code, checks = run_checks(*arguments, "--model", "three_channels")
    assert code == 4
    assert "channel" in checks["plan"]["found"]
    # Two slots of 4 windows: 16³ voxels in float32, one channel in and two out.
    needed = 2 * 4 * 16**3 * 4 * 3
    monkeypatch.setattr(host_arenas, "_free", lambda _: needed - 1)
    for options, expected in (((), ("warn", 0)), (("--data", "system_shm"), ("fail", 5))):
        code, checks = run_checks(*arguments, "--model", "threshold_half", *options)
        assert (checks["plan"]["status"], code) == expected
        assert "the slots need 0.4 MiB of shared memory" in checks["plan"]["found"]


@pytest.mark.slow
def test_an_open_window_and_a_missing_model(triton_server: Any) -> None:
    code, checks = run_checks("--triton", triton_server.http, "--model", "threshold_half")
    assert code == 2
    assert "--roi" in checks["model"]["remedy"]
    code, checks = run_checks("--triton", triton_server.http, "--model", "threshold_hal")
    assert code == 4
    assert "threshold_hal is not on the server" in checks["model"]["found"]
    assert checks["model"]["remedy"].endswith('did you mean "threshold_half"?')


@pytest.mark.slow
def test_an_installed_local_server_is_started_and_stopped() -> None:
    code, checks = run_checks("--triton", "local")
    assert code == 0
    assert checks["local triton"]["found"].startswith("2.51 in ")
    assert checks["models"]["details"] == [
        {"name": "segmentation_ct_lung_v1", "version": "1", "state": "READY", "reason": ""}
    ]
    assert checks["shared /dev/shm"]["status"] == "ok"
