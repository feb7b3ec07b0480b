"""The container's defaults, and the variables that override them."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpu_infer.cli.container import container_settings
from gpu_infer.settings import FOLDER_VARIABLES


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
