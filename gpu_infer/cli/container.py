"""The container: its defaults, and its main (environment variables in, files out).

The images set `GPU_INFER_CONTAINER`, so that a command in a container (`docker run gpu_infer run --mode monai`) has the
same defaults as the main, which runs if there is no command. Only the main takes the first of several volumes in the
input folder; a command refuses the folder unless it has `--first`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gpu_infer.environment import environment_flag

if TYPE_CHECKING:
    from gpu_infer.settings import Settings

CONTAINER_VARIABLE = "GPU_INFER_CONTAINER"

CONTAINER_FOLDERS = {"input": "/input", "output": "/output", "publish": "/publish", "logs": "/logs"}
"""The folders that a container has without variables; at a terminal, nothing is published and logs go to the output."""

CONTAINER_WAIT_S = 600.0
"""Seconds that a container waits for its server and model, which an orchestrator starts at the same time."""


def run_from_environment() -> None:
    """Run once with the settings of the environment and progress as log lines. Raises GpuInferError."""
    from gpu_infer.cli.execute import execute

    # As the operator did, which a pipeline that mounts a whole folder relies on. The report has a warning.
    execute(container_settings(os.environ, first=True), bar=False)


def has_container_defaults(environ: Mapping[str, str]) -> bool:
    """Whether the environment asks for the container's defaults. Raises ConfigError for another word than a switch."""
    return environment_flag(environ, CONTAINER_VARIABLE, remedy="leave it unset outside of a container")


def container_settings(environ: Mapping[str, str], **options: Any) -> Settings:
    """The settings of a run in a container; `options` (None: not given) override variables and defaults.

    Raises ConfigError.
    """
    from gpu_infer.settings import Settings
    from gpu_infer.settings_sources import FOLDER_VARIABLES

    environ = dict(environ)
    for name, folder in CONTAINER_FOLDERS.items():
        variable = FOLDER_VARIABLES[name]
        if name == "publish":
            environ.setdefault(variable, folder)  # empty: publish nothing
        elif not environ.get(variable, "").strip():
            environ[variable] = folder
    # As the Base Inference Operator V2 does: scripts may depend on the order of its messages.
    defaults = {"wait_s": CONTAINER_WAIT_S, "server_first": True}
    given = {name: value for name, value in options.items() if value is not None}
    return Settings.from_environment(environ, **(defaults | given))
