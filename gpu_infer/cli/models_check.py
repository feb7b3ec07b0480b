"""`gpu-infer models check`."""

from __future__ import annotations

from typing import Annotated

import typer

from gpu_infer.cli import models_options, options

Window = Annotated[
    str | None,
    typer.Option("--roi", metavar="X,Y,Z", help="Size of the window, if the model's input has dynamic dimensions."),
]


def check(
    name: models_options.Name,
    models: models_options.Repository = models_options.DEFAULT_REPOSITORY,
    roi: Window = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Load a model with a local Triton and send one window of noise; installs the server if needed."""
    from gpu_infer import logs
    from gpu_infer.cli.console import as_json, say
    from gpu_infer.cli.progress import show_lines
    from gpu_infer.repository.check import check_model
    from gpu_infer.triton.model.name import check_model_name

    logs.configure(None, debug=debug)
    check_model_name(name)
    window = None if roi is None else models_options.sizes(roi, "--roi")
    with show_lines("installing Triton") as on_line:
        result = check_model(models, name, window, on_line)
    model = result.model
    if json:
        say(
            as_json(
                {
                    "model": model.name,
                    "input": {
                        "name": model.input.name,
                        "datatype": model.input.datatype,
                        "shape": list(result.input_shape),
                    },
                    "output": {
                        "name": model.output.name,
                        "datatype": result.output_datatype,
                        "shape": list(result.output_shape),
                    },
                    "seconds": round(result.seconds, 4),
                    "finite": result.finite,
                }
            )
        )
        return
    values = f"{result.lowest:g} to {result.highest:g}" if result.finite else "NaN or infinite values in it"
    say(
        f"{model.name}: answers in {result.seconds:.3f} s (the first request, which may compile)",
        f"  input   {model.input.name} {model.input.datatype} {list(result.input_shape)}, noise",
        f"  output  {model.output.name} {result.output_datatype} {list(result.output_shape)}, {values}",
    )
