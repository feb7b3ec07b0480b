"""`gpu-infer init`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gpu_infer.cli import models_options, options
from gpu_infer.errors import ConfigError

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", parser=options.path, help="New folder.")]
Model = Annotated[str, typer.Option("--model", metavar="NAME", help="Model in the repository.")]
Spacing = Annotated[
    str | None, typer.Option("--spacing", metavar="X,Y,Z", help="Voxel size in mm that the model was trained on.")
]
Intensities = Annotated[
    str | None,
    typer.Option("--intensities", metavar="LOW,HIGH", help="Values that become 0 and 1, with clipping."),
]
Window = Annotated[
    str | None,
    typer.Option(
        "--roi", metavar="X,Y,Z", help="Window in voxels, if the model has dynamic dimensions. Two numbers for slices."
    ),
]
SliceAxis = Annotated[
    str | None, typer.Option("--slice-axis", metavar="AXIS", help="Axis across the slices of a 2-D model: X, Y or Z.")
]
Classes = Annotated[
    int | None,
    typer.Option("--classes", metavar="N", help="Number of classes, if the model does not name it."),
]
Logits = Annotated[
    bool | None, typer.Option("--logits/--probabilities", help="What a model with one output channel answers.")
]


def init(
    folder: Folder,
    model: Model,
    models: models_options.Repository = models_options.DEFAULT_REPOSITORY,
    spacing: Spacing = None,
    intensities: Intensities = None,
    roi: Window = None,
    slice_axis: SliceAxis = None,
    classes: Classes = None,
    logits: Logits = None,
    debug: options.Debug = False,
) -> None:
    """Write a folder with the configuration, the names of labels and a Dockerfile for a model."""
    from gpu_infer import logs
    from gpu_infer.cli.console import say_done
    from gpu_infer.repository.new_app import Preparation, write_app

    logs.configure(None, debug=debug)
    preparation = Preparation(
        spacing_mm=_numbers(spacing, "--spacing", 3),
        intensities=_numbers(intensities, "--intensities", 2),
        roi=None if roi is None else models_options.sizes(roi, "--roi"),
        classes=classes,
        logits=logits,
        slice_axis=_axis(slice_axis),
    )
    _check(preparation.spacing_mm, preparation.intensities)
    app = write_app(folder, models, model, preparation)
    notes = (f"note: {note}" for note in app.notes)
    say_done(f"wrote {folder}", *notes, *(f"next     {command}" for command in app.commands))


def _axis(text: str | None) -> str | None:
    if text is not None and text.upper() not in ("X", "Y", "Z"):
        raise ConfigError(f"--slice-axis: found {text!r}, expected X, Y or Z", remedy="name one axis of the volume")
    return text and text.upper()


def _numbers(text: str | None, option: str, count: int) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != count or not all(abs(n) < 1e9 for n in numbers):
        raise ConfigError(f"{option}: found {text!r}, expected {count} numbers", remedy="separate them with commas")
    return numbers


def _check(spacing: tuple[float, ...] | None, intensities: tuple[float, ...] | None) -> None:
    if spacing is not None and min(spacing) <= 0:
        raise ConfigError(f"--spacing: found {spacing}, expected positive numbers", remedy="give mm per voxel")
    if intensities is not None and intensities[0] >= intensities[1]:
        raise ConfigError(f"--intensities: found {intensities}, expected the lower one first", remedy="swap them")
