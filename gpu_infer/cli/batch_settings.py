"""The job of `gpu-infer batch`, from its options and the environment."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from gpu_infer.cli.command_settings import settings_of
from gpu_infer.cli.container import CONTAINER_FOLDERS, has_container_defaults
from gpu_infer.environment import environment_value
from gpu_infer.errors import ConfigError

if TYPE_CHECKING:
    import typer

    from gpu_infer.batch.job import BatchJob
    from gpu_infer.batch.run_batch import BatchChoices

_OWN = (
    *("input_folder", "output_folder", "input", "output", "dry_run", "force", "retry_failed"),
    *("part", "parts", "workers", "lanes"),
)
"""Options that are not part of `Settings`."""


def batch_source(context: typer.Context) -> str:
    """The folder, pattern or list of the cases. Raises ConfigError if nothing names one, or two do."""
    return str(_path(context.params, "input"))


def batch_job(context: typer.Context) -> BatchJob:
    """The job that the options describe. Raises ConfigError."""
    from gpu_infer.batch.engines.resources import default_workers
    from gpu_infer.batch.job import DEFAULT_LANES, BatchJob

    output = _path(context.params, "output")
    environ = {**os.environ, "NVIDIA_CLARA_OUTPUT": str(output), "NVIDIA_CLARA_INPUT": batch_source(context)}
    settings = settings_of(context, without=_OWN, environ=environ)
    if settings.output_name is not None:
        raise ConfigError(
            f"--output: found {str(output)!r}, a file, expected a folder", remedy="each case gets a folder in it"
        )
    if settings.debug_port is not None:
        raise ConfigError("DEBUG_VSCODE: a batch waits for no debugger", remedy="run one case with gpu-infer run")
    workers, lanes = context.params["workers"], context.params["lanes"]
    for name, value in (("workers", workers), ("lanes", lanes)):
        if value is not None and not 1 <= value <= 1024:
            raise ConfigError(f"--{name}: found {value}, expected 1 to 1024", remedy="leave it out for the default")
    return BatchJob(
        settings,
        lanes=DEFAULT_LANES if lanes is None else lanes,
        workers=default_workers(settings.device, os.environ) if workers is None else workers,
    )


def batch_choices(*, force: bool, retry_failed: bool, part: str | None, parts: int | None) -> BatchChoices:
    """What the options choose of the cases. Raises ConfigError."""
    from gpu_infer.batch.engines.parts import parse_part, part_of_environment
    from gpu_infer.batch.run_batch import BatchChoices

    if part is not None and parts is not None:
        raise ConfigError("--part contradicts --parts", remedy="leave one of the two out")
    if part is not None:
        return BatchChoices(force, retry_failed, parse_part(part))
    return BatchChoices(force, retry_failed, None if parts is None else part_of_environment(parts, os.environ))


def _path(options: dict[str, Any], name: str) -> Any:
    """The argument, the option, the variable or the container's folder."""
    from gpu_infer.settings_sources import FOLDER_VARIABLES

    argument, option = options[f"{name}_folder"], options[name]
    if argument is not None and option is not None:
        raise ConfigError(
            f"batch: found {argument} and --{name} {option}, expected one of the two", remedy="leave one out"
        )
    variable = environment_value(os.environ, FOLDER_VARIABLES[name])
    value = next((each for each in (argument, option, variable) if each is not None), None)
    if value is None and has_container_defaults(os.environ):
        value = CONTAINER_FOLDERS[name]
    if value is None:
        thing = {"input": "cases to read", "output": "folder to write to"}[name]
        raise ConfigError(
            f"batch: found no {thing}, expected --{name} or {FOLDER_VARIABLES[name]}",
            remedy="for example gpu-infer batch -i scans -o out",
        )
    return value
