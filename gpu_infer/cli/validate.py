"""`gpu-infer validate`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from gpu_infer.cli import options

ConfigArgument = Annotated[
    Path, typer.Argument(metavar="CONFIG", parser=options.path, help="Path of a config_inference.json.")
]
Volume = Annotated[
    Path | None,
    typer.Option(
        "--input", parser=options.path, help="A volume, or a folder with one: also print shapes and peak memory."
    ),
]


def validate(
    config: ConfigArgument,
    input: Volume = None,  # noqa: A002
    allow_foreign_data_files: options.AllowForeignDataFiles = None,
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
    from gpu_infer.settings import Settings

    logs.configure(None, debug=debug)
    settings = Settings.from_environment(
        os.environ,
        config=config,
        allow_foreign_data_files=allow_foreign_data_files,
        model_name=model,
        mode=mode,
        batch_size=batch_size,
        slots=slots,
        slab=slab,
        roi_size=roi,
    )
    from gpu_infer.planning.dry_run import plan

    say(*plan(settings, input, models), f"{config}: valid")
