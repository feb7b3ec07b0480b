"""`gpu-infer demo`: segments a public chest CT with a local Triton. Downloads both at the first use."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from gpu_infer.cli import options

DemoInput = Annotated[
    Path | None,
    typer.Option(
        "--input", "-i", parser=options.path, help="Another volume, or a folder with one; default a public chest CT."
    ),
]
DemoOutput = Annotated[
    Path, typer.Option("--output", "-o", parser=options.path, help="Folder for everything that the demo writes.")
]
LUNG = "1"


def demo(
    input: DemoInput = None,  # noqa: A002
    output: DemoOutput = Path("demo_output"),
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Segment the lungs of a chest CT with a local Triton; the first use downloads the server and the CT."""
    from gpu_infer import logs
    from gpu_infer.cli.console import say_done
    from gpu_infer.cli.execute import execute
    from gpu_infer.cli.run import written
    from gpu_infer.cli.verbosity import console_level
    from gpu_infer.settings import Settings
    from gpu_infer.volume.input_files import FolderChoice, choose_input
    from gpu_infer.writers.output_folder import check_output_folder
    from gpu_infer.writers.own_volumes import own_volumes

    console = console_level(verbose=verbose or debug, quiet=quiet)
    check_output_folder(output)
    output = output.absolute()
    logs.configure(output / "logs", debug=debug, console=console)
    if input is not None:
        choose_input(input, FolderChoice(outputs=own_volumes))
    else:
        input = _fetch_input(output / "input", bar=not quiet)  # noqa: A001
    _install_server(bar=not quiet)  # the larger download comes last, when the volume is known to exist
    settings = Settings.from_environment(
        _plain_environment(),
        input=input,
        output=output / "output",
        publish=output / "publish",
        logs=output / "logs",
        triton="local",
        preview=True,
    )
    result = execute(settings, debug=debug, bar=not quiet, console=console)
    lung = result.data["labels"].get(LUNG)
    if not quiet:
        say_done(f"lung     {lung['ml']:.0f} ml" if lung else "lung     none found", *written(result))


def _plain_environment() -> dict[str, str]:
    """The environment without the operator's own variables: the demo is the same on every machine."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("NVIDIA_CLARA_", "CLARA_"))}


def _install_server(*, bar: bool) -> None:
    from gpu_infer.cli.progress import show_lines
    from gpu_infer.triton.local.install import install

    with show_lines("installing Triton (once, about 450 MB)", bar=bar) as on_line:
        install(on_line=on_line)


def _fetch_input(folder: Path, *, bar: bool) -> Path:
    """The demo CT as NIfTI in `folder`, downloaded and converted at most once."""
    from gpu_infer.cli.progress import download_bar
    from gpu_infer.demo.volume import demo_input, fetch_demo_ct

    with download_bar("chest CT", bar=bar) as progress:
        nrrd = fetch_demo_ct(progress=progress)
    return demo_input(nrrd, folder)
