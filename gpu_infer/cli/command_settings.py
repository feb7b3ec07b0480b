"""The settings of a command, from its options and the environment."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from gpu_infer.cli.container import container_settings, has_container_defaults
from gpu_infer.environment import environment_value
from gpu_infer.errors import ConfigError

if TYPE_CHECKING:
    import typer

    from gpu_infer.settings import Settings

_NO_SETTINGS = ("json", "verbose", "quiet", "debug", "clean", "warm_up")
"""Options of commands that are not part of `Settings`."""


def settings_of(
    context: typer.Context, *, without: Collection[str] = (), environ: Mapping[str, str] | None = None
) -> Settings:
    """The settings of the environment, overridden by the options that the command was given.

    In a container (`GPU_INFER_CONTAINER`), the defaults are those of the container.

    Args:
        context: the command's, which has every option by the name of its parameter.
        without: names of further options that the command uses itself.
        environ: the environment variables, by default those of the process.
    """
    from gpu_infer.settings import Settings
    from gpu_infer.settings_sources import OPTION_FIELDS

    given = {name: value for name, value in context.params.items() if name not in (*_NO_SETTINGS, *without)}
    options = {OPTION_FIELDS.get(name, name): value for name, value in given.items()}
    environ = os.environ if environ is None else environ
    if has_container_defaults(environ):
        return container_settings(environ, **options)
    return Settings.from_environment(environ, **options)


def run_settings(context: typer.Context) -> Settings:
    """`settings_of` for a run. Raises ConfigError if nothing names its input or its output folder."""
    settings = settings_of(context)  # a wrong option is reported before a missing one
    if not has_container_defaults(os.environ):
        _check_named(context.params)
    return settings


def _check_named(options: Mapping[str, Any]) -> None:
    from gpu_infer.settings_sources import FOLDER_VARIABLES

    things = {"input": "volume to read", "output": "folder to write to"}
    missing = [
        name
        for name in things
        if options[name] is None and environment_value(os.environ, FOLDER_VARIABLES[name]) is None
    ]
    if not missing:
        return
    absent = " and no ".join(things[name] for name in missing)
    expected = " and ".join(f"--{name} or {FOLDER_VARIABLES[name]}" for name in missing)
    example = " ".join({"input": "-i scan.nii.gz", "output": "-o out"}[name] for name in missing)
    raise ConfigError(f"run: found no {absent}, expected {expected}", remedy=f"for example gpu-infer run {example}")
