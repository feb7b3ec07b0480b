"""The job of `gpu-infer batch`, from its options and the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gpu_infer.cli.batch_engine import take_servers
from gpu_infer.cli.command_settings import settings_of
from gpu_infer.cli.container import CONTAINER_FOLDERS, has_container_defaults
from gpu_infer.environment import environment_value
from gpu_infer.errors import ConfigError

if TYPE_CHECKING:
    import typer

    from gpu_infer.batch.job import BatchJob
    from gpu_infer.batch.run_batch import BatchChoices

_OWN = (
    *("paths", "input", "output", "dry_run", "force", "retry_failed"),
    *("part", "parts", "workers", "lanes", "scheduler", "metrics_port", "metrics_host", "metrics_file"),
)
"""Options that are not part of `Settings`."""


class Folders(NamedTuple):
    """sources  folder, pattern or list of the cases; several files and folders, as a shell makes them of a pattern
    output   the folder of the batch
    """

    sources: list[str]
    output: Path


def batch_folders(options: Mapping[str, Any], environ: Mapping[str, str]) -> Folders:
    """From bare arguments, options, variables or the container's folders.

    The last one of several arguments is the output, unless the option is given. Raises ConfigError.
    """
    arguments = list(options["paths"] or ())
    if not all(argument.strip() for argument in arguments):
        raise ConfigError("batch: found an empty path", remedy="give paths, or leave it out")
    source, output = options["input"], options["output"]
    if arguments and source is not None:
        raise ConfigError(
            f"batch: found {arguments[0]} and --input {source}, expected one of the two", remedy="leave one out"
        )
    if output is None and len(arguments) > 1:
        output = arguments.pop()
        if len(arguments) > 1:
            _check_is_no_input(Path(output))
    sources = arguments or [_named("input", source, environ)]
    return Folders([str(each) for each in sources], Path(_named("output", output, environ)))


def _check_is_no_input(output: Path) -> None:
    """Raise ConfigError if the last of many arguments is a folder that a shell may have added: files, and no batch."""
    from gpu_infer.batch.summary import STATUS_FILE

    if output.is_dir() and any(output.iterdir()) and not (output / STATUS_FILE).exists():
        raise ConfigError(
            f"batch: the last argument, {output}, would be the output folder, and it has files that are of no batch",
            remedy="give the output folder with --output, and quote a pattern of inputs",
        )


def batch_job(context: typer.Context, folders: Folders) -> BatchJob:
    """The job that the options describe. Raises ConfigError."""
    from gpu_infer.batch.engines.resources import default_workers
    from gpu_infer.batch.job import DEFAULT_LANES, BatchJob

    servers = take_servers(context.params)
    environ = {**os.environ, "NVIDIA_CLARA_INPUT": folders.sources[0], "NVIDIA_CLARA_OUTPUT": str(folders.output)}
    settings = settings_of(context, without=_OWN, environ=environ)
    if settings.output_name is not None:
        raise ConfigError(
            f"--output: found {str(folders.output)!r}, a file, expected a folder",
            remedy="each case gets a folder in it",
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
        servers=servers,
        workers=max(default_workers(settings.device, os.environ), len(servers)) if workers is None else workers,
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


def _named(name: str, value: Any, environ: Mapping[str, str]) -> Any:
    """The value, that of the variable, or the container's folder."""
    from gpu_infer.settings_sources import FOLDER_VARIABLES

    value = environment_value(environ, FOLDER_VARIABLES[name]) if value is None else value
    if value is None and has_container_defaults(environ):
        value = CONTAINER_FOLDERS[name]
    if value is None:
        thing = {"input": "cases to read", "output": "folder to write to"}[name]
        raise ConfigError(
            f"batch: found no {thing}, expected --{name} or {FOLDER_VARIABLES[name]}",
            remedy="for example gpu-infer batch -i scans -o out",
        )
    return value
