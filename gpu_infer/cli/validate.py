"""`gpu-infer validate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gpu_infer.cli import options
from gpu_infer.cli.command_settings import settings_of

ConfigArgument = Annotated[
    Path, typer.Argument(metavar="CONFIG", parser=options.path, help="Path of a config_inference.json.")
]
Volume = Annotated[
    Path | None,
    typer.Option(
        "--input",
        "-i",
        parser=options.path,
        help="A volume, or a folder with one: also print shapes and peak memory.",
    ),
]


def validate(
    context: typer.Context,
    config: ConfigArgument,
    input: Volume = None,  # noqa: A002
    first: options.First = None,
    allow_foreign_data_files: options.AllowForeignDataFiles = None,
    series: options.Series = None,
    tilt: options.Tilt = None,
    labels: options.Labels = None,
    models: options.Models = None,
    model: options.Model = None,
    mode: options.Mode = None,
    batch_size: options.BatchSize = None,
    slots: options.Slots = None,
    slab: options.Slab = None,
    roi: options.Roi = None,
    debug: options.Debug = False,
) -> None:
    """Print the pipeline of a configuration, or the error in it. Needs no server."""
    from gpu_infer import logs
    from gpu_infer.cli.console import say

    logs.configure(None, debug=debug)
    settings = settings_of(context, without=("input", "models"))
    from gpu_infer.planning.dry_run import plan  # after the settings: a wrong option is reported at once

    say(*plan(settings, input, models), f"{config}: valid")
