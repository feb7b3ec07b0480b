"""Every option of a command arrives in its field of the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from gpu_infer.cli import execute as execution
from gpu_infer.cli.main import app
from gpu_infer.errors import ConfigError
from gpu_infer.settings import Settings
from gpu_infer.system.resources import resource_folder


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The settings of runs, which end at once."""
    runs: list[Settings] = []

    def execute(settings: Settings, *, debug: bool, bar: bool, console: int) -> None:
        runs.append(settings)
        raise typer.Exit(9)

    monkeypatch.setattr(execution, "execute", execute)
    return runs


def invoke(*arguments: str, **environment: str) -> None:
    assert CliRunner(env=environment).invoke(app, list(arguments)).exit_code == 9


def test_every_option_of_run(executed: list[Settings], tmp_path: Path) -> None:
    pem = tmp_path / "file.pem"
    pem.write_text("X-Hospital: 1")
    fields: dict[str, Any] = {
        "input": Path("in.mhd"),
        "output": Path("out"),
        "publish": Path("pub"),
        "publish_dialect": "both",
        "series": "Modality=CT",
        "name": "{PatientID}",
        "logs": Path("logs"),
        "config": Path("c.json"),
        "triton_either": "host:1",
        "control": "http",
        "data": "inline",
        "require": "inline",
        "wait_s": 1.5,
        "deadline_s": 2.5,
        "device": "cpu",
        "mode": "monai",
        "model_name": "m",
        "batch_size": 3,
        "slots": 4,
    }
    options = {"triton_either": "triton", "wait_s": "wait", "deadline_s": "deadline", "model_name": "model"}
    texts = [(f"--{options.get(name, name).replace('_', '-')}", str(value)) for name, value in fields.items()]
    texts += [(f"--{name}", str(pem)) for name in ("tls-ca", "tls-cert", "tls-key", "headers")]
    flags = ("--allow-foreign-data-files", "--with-identity", "--preview", "--load", "--no-slab", "--roi", "4,5,6")
    invoke("run", *(word for pair in texts for word in pair), *flags)
    (settings,) = executed
    assert {name: getattr(settings, name) for name in fields} == fields
    assert (settings.allow_foreign_data_files, settings.preview, settings.load_model) == (True, True, True)
    assert settings.with_identity
    assert (settings.slab, settings.roi_size) == (False, (4, 5, 6))
    assert (settings.access.ca, settings.access.certificate, settings.access.key) == (pem, pem, pem)
    assert settings.access.headers == (("x-hospital", "1"),)


def test_models_of_run(executed: list[Settings], tmp_path: Path) -> None:
    invoke("run", "-i", "a.nii", "-o", "out", "--triton", "local", "--models", str(tmp_path))
    assert executed[0].local_models == tmp_path


def test_an_option_overrides_its_variable(executed: list[Settings]) -> None:
    invoke("run", NVIDIA_CLARA_INPUT="there", NVIDIA_CLARA_OUTPUT="results")
    invoke("run", "--input", "here", NVIDIA_CLARA_INPUT="there", NVIDIA_CLARA_OUTPUT="results")
    assert [settings.input for settings in executed] == [Path("there"), Path("here")]
    assert executed[0].output == Path("results")


@pytest.mark.parametrize(
    ("words", "environ", "message"),
    [
        (
            [],
            {},
            "run: found no volume to read and no folder to write to, expected --input or NVIDIA_CLARA_INPUT and "
            "--output or NVIDIA_CLARA_OUTPUT (for example gpu-infer run -i scan.nii.gz -o out)",
        ),
        (
            ["-i", "scan.nii"],
            {"NVIDIA_CLARA_OUTPUT": " "},
            "run: found no folder to write to, expected --output or NVIDIA_CLARA_OUTPUT "
            "(for example gpu-infer run -o out)",
        ),
        (
            ["-o", "out"],
            {"GPU_INFER_CONTAINER": "0"},
            "run: found no volume to read, expected --input or NVIDIA_CLARA_INPUT "
            "(for example gpu-infer run -i scan.nii.gz)",
        ),
    ],
)
def test_a_run_without_input_or_output(words: list[str], environ: dict[str, str], message: str) -> None:
    result = CliRunner(env=environ).invoke(app, ["run", *words])
    assert isinstance(result.exception, ConfigError)
    assert str(result.exception) == message


def test_validate_needs_neither_input_nor_output(capfd: pytest.CaptureFixture[str]) -> None:
    config = str(resource_folder("config") / "config_inference.json")
    assert CliRunner().invoke(app, ["validate", config]).exit_code == 0
