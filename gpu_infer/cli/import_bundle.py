"""`gpu-infer import-bundle`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gpu_infer.cli import models_options, options

Folder = Annotated[
    Path, typer.Argument(metavar="FOLDER", parser=options.path, help="Folder of a MONAI bundle, with configs.")
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", parser=options.path, help="New folder of the configuration; default: NAME_app."),
]
Name = Annotated[
    str | None, typer.Option("--name", metavar="NAME", help="Name of the model; default: that of the folder.")
]
Onnx = Annotated[
    Path | None, typer.Option("--onnx", parser=options.path, help="The network; default: the ONNX file in models.")
]
Torchscript = Annotated[
    Path | None,
    typer.Option("--torchscript", parser=options.path, help="The network for a Triton with the PyTorch backend."),
]
Config = Annotated[
    list[Path] | None,
    typer.Option(
        "--config", parser=options.path, help="Configuration file; several are merged. Default: configs/inference.json."
    ),
]
Files = Annotated[
    str | None,
    typer.Option("--files", metavar="A,B,…", help="Names or patterns of the files of one input channel each."),
]
NearestLabels = Annotated[
    bool,
    typer.Option("--nearest-labels", help="Take the nearest voxel if the bundle interpolates labels linearly."),
]
Replace = Annotated[bool, typer.Option("--replace", help="Replace a model that gpu-infer wrote.")]


def import_bundle(
    folder: Folder,
    output: Output = None,
    name: Name = None,
    models: models_options.Repository = models_options.DEFAULT_REPOSITORY,
    onnx: Onnx = None,
    torchscript: Torchscript = None,
    config: Config = None,
    files: Files = None,
    nearest_labels: NearestLabels = False,
    replace: Replace = False,
    debug: options.Debug = False,
) -> None:
    """Write a repository entry and a configuration for a MONAI bundle."""
    from gpu_infer import logs
    from gpu_infer.cli.console import say_done
    from gpu_infer.imports.bundle.import_model import Options
    from gpu_infer.imports.bundle.import_model import import_bundle as import_folder
    from gpu_infer.repository.run_command import run_command

    logs.configure(None, debug=debug)
    settings = Options(
        name=name,
        onnx=onnx,
        torchscript=torchscript,
        configs=tuple(config or ()),
        files=() if files is None else tuple(part.strip() for part in files.split(",")),
        nearest_labels=nearest_labels,
        replace=replace,
    )
    imported = import_folder(folder, models, output, settings)
    say_done(
        f"wrote {imported.entry.folder}",
        *models_options.entry_lines(imported.entry),
        f"wrote {imported.folder}",
        *(f"note: {note}" for note in imported.notes),
        run_command(imported.folder, imported.folder, None if torchscript else models),
    )
