"""`gpu-infer models add`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gpu_infer.cli import models_options, options
from gpu_infer.errors import ConfigError, ModelError

Onnx = Annotated[Path | None, typer.Option("--onnx", parser=options.path, help="ONNX file of the model.")]
TorchScript = Annotated[
    Path | None,
    typer.Option("--torchscript", parser=options.path, help="TorchScript file, for servers with Triton's PyTorch."),
]
Dims = Annotated[
    str | None, typer.Option("--dims", metavar="C,X,Y,Z", help="Input of a TorchScript file; -1: a dynamic size.")
]
OutputDims = Annotated[
    str | None,
    typer.Option("--output-dims", metavar="C,X,Y,Z", help="Output of a TorchScript file; -1: a dynamic size."),
]
Rename = Annotated[
    list[str] | None,
    typer.Option("--rename", metavar="OLD=NEW", help="New name of an input or output of an ONNX file; repeatable."),
]
MaxBatch = Annotated[
    int | None,
    typer.Option("--max-batch-size", metavar="N", help="Most windows per request; default 1, for slices 16."),
]
Replace = Annotated[bool, typer.Option("--replace", help="Replace a model that this command wrote.")]


def add(
    name: models_options.Name,
    onnx: Onnx = None,
    torchscript: TorchScript = None,
    dims: Dims = None,
    output_dims: OutputDims = None,
    rename: Rename = None,
    max_batch_size: MaxBatch = None,
    models: models_options.Repository = models_options.DEFAULT_REPOSITORY,
    replace: Replace = False,
    debug: options.Debug = False,
) -> None:
    """Write a model repository's entry for an ONNX or TorchScript file."""
    from gpu_infer import logs
    from gpu_infer.cli.console import say_done
    from gpu_infer.repository.add import add_onnx, add_torchscript
    from gpu_infer.triton.model.repository import model_in_repository

    logs.configure(None, debug=debug)
    if (onnx is None) == (torchscript is None):
        raise ConfigError(
            f"models add {name}: found {'no file' if onnx is None else 'two files'}, expected one",
            remedy=f"gpu-infer models add {name} --onnx FILE",
        )
    if onnx is not None:
        if dims is not None or output_dims is not None:
            raise ConfigError("--dims and --output-dims belong to --torchscript", remedy="leave them out")
        entry = add_onnx(
            models, name, onnx, rename=_names(rename or []), max_batch_size=max_batch_size, replace=replace
        )
    elif torchscript is not None:
        if dims is None or output_dims is None:
            raise ConfigError(
                f"{torchscript} does not name its shapes", remedy="give --dims C,X,Y,Z and --output-dims C,X,Y,Z"
            )
        if rename:
            raise ConfigError("--rename belongs to --onnx", remedy="a TorchScript model has INPUT__0 and OUTPUT__0")
        entry = add_torchscript(
            models,
            name,
            torchscript,
            input_dims=models_options.sizes(dims, "--dims"),
            output_dims=models_options.sizes(output_dims, "--output-dims"),
            max_batch_size=1 if max_batch_size is None else max_batch_size,
            replace=replace,
        )
    say_done(f"wrote {entry.folder}", *models_options.entry_lines(entry))
    try:
        model_in_repository(models, name)
    except ModelError as error:  # other clients may use it, and input_name or output_name may choose
        say_done(f"note: {error}")


def _names(pairs: list[str]) -> dict[str, str]:
    """OLD=NEW of each --rename; a new name may contain "="."""
    names: dict[str, str] = {}
    for pair in pairs:
        old, equals, new = pair.partition("=")
        if not old or not equals or not new or old in names:
            raise ConfigError(f"--rename: found {pair!r}, expected OLD=NEW, each OLD once", remedy="correct it")
        names[old] = new
    return names
