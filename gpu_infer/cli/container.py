"""The container's main: environment variables in, files out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpu_infer.settings import Settings

CONTAINER_FOLDERS = {"input": "/input", "output": "/output", "publish": "/publish", "logs": "/logs"}
"""The folders that a container has without variables; at a terminal, nothing is published and logs go to the output."""

CONTAINER_WAIT_S = 600.0
"""Seconds that a container waits for its server and model, which an orchestrator starts at the same time."""


def run_from_environment() -> None:
    """Run once with the settings of the environment and progress as log lines. Raises GpuInferError."""
    from gpu_infer.cli.execute import execute

    execute(container_settings(os.environ), bar=False)


def container_settings(environ: Mapping[str, str]) -> Settings:
    """The settings of a container's run. Raises ConfigError."""
    from gpu_infer.settings import FOLDER_VARIABLES, Settings

    environ = dict(environ)
    for name, folder in CONTAINER_FOLDERS.items():
        variable = FOLDER_VARIABLES[name]
        if name == "publish":
            environ.setdefault(variable, folder)  # empty: publish nothing
        elif not environ.get(variable, "").strip():
            environ[variable] = folder
    # As the Base Inference Operator V2 does: scripts may depend on the order of its messages.
    return Settings.from_environment(environ, wait_s=CONTAINER_WAIT_S, server_first=True)
