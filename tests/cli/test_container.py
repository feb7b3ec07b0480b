"""The container's defaults, and the variables that override them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from gpu_infer.cli import execute as execution
from gpu_infer.cli.container import container_settings, has_container_defaults, run_from_environment
from gpu_infer.cli.main import app
from gpu_infer.errors import ConfigError
from gpu_infer.settings import Settings
from gpu_infer.settings_sources import FOLDER_VARIABLES


def test_folders_wait_and_order_without_variables() -> None:
    settings = container_settings({"NVIDIA_CLARA_INPUT": "", "NVIDIA_CLARA_LOGS": " "})
    folders = (settings.input, settings.output, settings.logs, settings.publish)
    assert folders == tuple(map(Path, ("/input", "/output", "/logs", "/publish")))
    assert (settings.connect_wait_s, settings.ready_wait_s) == (600, 600)
    assert settings.server_first


@pytest.mark.parametrize("name", FOLDER_VARIABLES)
def test_a_variable_overrides_its_folder_alone(name: str) -> None:
    settings = container_settings({FOLDER_VARIABLES[name]: "/a"})
    folders = {field: getattr(settings, field) for field in FOLDER_VARIABLES}
    assert folders == {field: Path("/a" if field == name else f"/{field}") for field in FOLDER_VARIABLES}


def test_an_empty_variable_publishes_nothing() -> None:
    assert container_settings({"NVIDIA_CLARA_PUBLISHING": ""}).publish is None


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Settings]:
    """The settings of a `gpu-infer` command line in a container."""

    def settings(*words: str, **environ: str) -> Settings:
        runs: list[Settings] = []

        def execute(settings: Settings, **_: object) -> None:
            runs.append(settings)
            raise typer.Exit(9)

        monkeypatch.setattr(execution, "execute", execute)
        for name in FOLDER_VARIABLES.values():
            monkeypatch.delenv(name, raising=False)
        result = CliRunner(env={"GPU_INFER_CONTAINER": "1", **environ}).invoke(app, words)
        assert result.exit_code == 9, result.exception
        return runs[0]

    return settings


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"NVIDIA_CLARA_PUBLISHING": ""},
        {"NVIDIA_CLARA_INPUT": "/a", "NVIDIA_CLARA_LOGS": "", "NVIDIA_CLARA_TRTISURI": "triton:8001"},
        {variable: f"/{field}" for field, variable in FOLDER_VARIABLES.items()},
    ],
)
def test_a_command_without_options_has_the_settings_of_the_main(command: Any, environ: dict[str, str]) -> None:
    assert command("run", **environ) == container_settings(environ)


def test_the_main_alone_takes_the_first_of_several_volumes(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[Settings] = []
    monkeypatch.setattr(execution, "execute", lambda settings, **_: runs.append(settings))
    run_from_environment()
    assert runs[0].first
    assert not command("run").first
    assert command("run", "--first").first


def test_options_change_the_settings_of_the_container_alone(command: Any) -> None:
    expected = replace(container_settings({}), mode="monai", wait_s=7.0, logs=Path("/elsewhere"), publish=None)
    assert command("run", "--mode", "monai", "--wait", "7", "--logs", "/elsewhere", "--publish", "") == expected


@pytest.mark.parametrize(("text", "on"), [("1", True), ("true", True), ("", False), ("0", False), ("OFF", False)])
def test_the_variable_of_the_images(text: str, on: bool) -> None:
    assert has_container_defaults({"GPU_INFER_CONTAINER": text}) is on


def test_another_word_in_the_variable_of_the_images() -> None:
    with pytest.raises(ConfigError, match=r"^GPU_INFER_CONTAINER: found 'docker', expected TRUE, 1, FALSE or 0"):
        has_container_defaults({"GPU_INFER_CONTAINER": "docker"})
