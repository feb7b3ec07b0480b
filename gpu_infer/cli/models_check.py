"""`gpu-infer models check`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gpu_infer.cli import models_options, options
from gpu_infer.errors import ConfigError

if TYPE_CHECKING:
    from gpu_infer.repository.check import ModelCheck

Window = Annotated[
    str | None,
    typer.Option("--roi", metavar="X,Y,Z", help="Size of the window, if the model's input has dynamic dimensions."),
]
Triton = Annotated[
    str | None,
    typer.Option(
        "--triton",
        metavar="ADDRESS",
        help="host:port, https://host:port or grpcs://host:port of a running server that has the model.",
    ),
]
Repository = Annotated[
    Path | None,
    typer.Option("--models", parser=options.path, help="Model repository of the local Triton; default models."),
]
Load = Annotated[bool, typer.Option("--load", help="With --triton: load the model, unless it is ready.")]


def check(
    name: models_options.Name,
    models: Repository = None,
    triton: Triton = None,
    load: Load = False,
    tls_ca: options.TlsCa = None,
    tls_cert: options.TlsCert = None,
    tls_key: options.TlsKey = None,
    headers: options.Headers = None,
    roi: Window = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Send one window of noise to a model, on a local Triton or on a server; installs the local one if needed."""
    from gpu_infer import logs
    from gpu_infer.cli.console import as_json, say
    from gpu_infer.triton.model.name import check_model_name

    logs.configure(None, debug=debug)
    check_model_name(name)
    window = None if roi is None else models_options.sizes(roi, "--roi")
    files = {"tls_ca": tls_ca, "tls_cert": tls_cert, "tls_key": tls_key, "headers": headers}
    named = {option: path for option, path in files.items() if path is not None}
    if triton is None or triton == "local":
        if named or load:
            first = next(iter(named), "load").replace("_", "-")
            raise ConfigError(f"--{first} belongs to --triton ADDRESS", remedy="leave it out for a local server")
        result = _on_local_server(models or models_options.DEFAULT_REPOSITORY, name, window)
    else:
        if models is not None:
            raise ConfigError(
                "--models and --triton are two servers", remedy="a server that runs already has its own models"
            )
        result = _on_running_server(triton, name, window, named, load=load)
    say(*([as_json(_facts(result))] if json else _lines(result)))


def _on_local_server(models: Path, name: str, window: tuple[int, ...] | None) -> ModelCheck:
    from gpu_infer.cli.progress import show_lines
    from gpu_infer.repository.check import check_model

    with show_lines("installing Triton") as on_line:
        return check_model(models, name, window, on_line)


def _on_running_server(
    triton: str, name: str, window: tuple[int, ...] | None, files: dict[str, Path], *, load: bool
) -> ModelCheck:
    from gpu_infer.repository.check import check_model_on_server
    from gpu_infer.triton.client.access_environment import access_from_environment
    from gpu_infer.triton.client.endpoints import Endpoints

    endpoints = Endpoints(either=triton, access=access_from_environment(os.environ, **files))
    return check_model_on_server(endpoints, name, window, load=load)


def _facts(result: ModelCheck) -> dict[str, Any]:
    model = result.model
    return {
        "model": model.name,
        "input": {"name": model.input.name, "datatype": model.input.datatype, "shape": list(result.input_shape)},
        "output": {
            "name": model.output.name,
            "datatype": result.output_datatype,
            "shape": list(result.output_shape),
        },
        "seconds": round(result.seconds, 4),
        "finite": result.finite,
    }


def _lines(result: ModelCheck) -> list[str]:
    model = result.model
    values = f"{result.lowest:g} to {result.highest:g}" if result.finite else "NaN or infinite values in it"
    return [
        f"{model.name}: answers in {result.seconds:.3f} s (the first request, which may compile)",
        f"  input   {model.input.name} {model.input.datatype} {list(result.input_shape)}, noise",
        f"  output  {model.output.name} {result.output_datatype} {list(result.output_shape)}, {values}",
    ]
