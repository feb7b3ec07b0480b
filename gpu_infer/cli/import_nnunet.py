"""`gpu-infer import-nnunet`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from gpu_infer.cli import models_options, options

Folder = Annotated[
    Path,
    typer.Argument(
        metavar="FOLDER", parser=options.path, help="Trained folder, with plans.json, dataset.json and fold_0."
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", parser=options.path, help="New folder of the configuration; default: the model's name."
    ),
]
Name = Annotated[
    str | None, typer.Option("--name", metavar="NAME", help="Name of the model; default: dataset and configuration.")
]
Python = Annotated[
    Path | None,
    typer.Option("--python", parser=options.path, help="Python of the environment that has nnunetv2; default: this."),
]
Folds = Annotated[
    str | None, typer.Option("--folds", metavar="0,1,…", help="Folds whose logits are averaged; default: all.")
]
Checkpoint = Annotated[str, typer.Option("--checkpoint", metavar="NAME", help="File in each fold.")]
NoMirroring = Annotated[bool, typer.Option("--no-mirroring", help="Do not mirror windows.")]
NoPostprocessing = Annotated[
    bool, typer.Option("--no-postprocessing", help="Leave out the rules of postprocessing.json.")
]
Trust = Annotated[
    bool,
    typer.Option("--trust-checkpoint", help="Unpickle a checkpoint that weights_only=True refuses; can run code."),
]
InstanceNorm = Annotated[
    bool,
    typer.Option(
        "--instance-normalization",
        help="Export instance norms as one operator each: faster with TensorRT, less exact with ONNX Runtime.",
    ),
]
Replace = Annotated[bool, typer.Option("--replace", help="Replace a model that gpu-infer wrote.")]


def import_nnunet(
    folder: Folder,
    output: Output = None,
    name: Name = None,
    models: models_options.Repository = models_options.DEFAULT_REPOSITORY,
    python: Python = None,
    folds: Folds = None,
    checkpoint: Checkpoint = "checkpoint_final.pth",
    no_mirroring: NoMirroring = False,
    no_postprocessing: NoPostprocessing = False,
    trust_checkpoint: Trust = False,
    instance_normalization: InstanceNorm = False,
    replace: Replace = False,
    debug: options.Debug = False,
) -> None:
    """Write a repository entry and a configuration for a trained nnU-Net v2 model."""
    from gpu_infer import logs
    from gpu_infer.cli.console import say_done
    from gpu_infer.cli.progress import show_lines
    from gpu_infer.imports.nnunet.import_model import Options
    from gpu_infer.imports.nnunet.import_model import import_nnunet as import_folder
    from gpu_infer.repository.run_command import run_command

    logs.configure(None, debug=debug)
    settings = Options(
        python=Path(sys.executable) if python is None else python,
        name=name,
        folds=() if folds is None else tuple(fold.strip() for fold in folds.split(",")),
        checkpoint=checkpoint,
        mirroring=not no_mirroring,
        postprocessing=not no_postprocessing,
        trust_checkpoint=trust_checkpoint,
        instance_normalization=instance_normalization,
        replace=replace,
    )
    with show_lines("exporting the network") as on_line:
        imported = import_folder(folder, models, output, settings, on_line)
    say_done(
        f"wrote {imported.entry.folder}",
        *models_options.entry_lines(imported.entry),
        f"wrote {imported.folder}",
        *(f"note: {note}" for note in imported.notes),
        run_command(imported.folder, imported.folder, models),
    )
