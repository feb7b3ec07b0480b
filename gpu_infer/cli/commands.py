"""The commands of `gpu-infer`. Building all takes longer than most of them run, so only the one in use is built."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Annotated

import typer

from gpu_infer.cli import version
from gpu_infer.cli.once import OnceCommand

_COMMANDS = {
    "run": "run",
    "batch": "batch",
    "series": "series",
    "demo": "demo",
    "validate": "validate",
    "view": "view",
    "init": "init",
    "import-bundle": "import_bundle",
    "import-nnunet": "import_nnunet",
    "doctor": "doctor",
}
"""The module in this package, and the function of the same name in it."""

_GROUPS = ("triton", "models")
"""Modules with commands of their own."""


def make_app(argument: str | None = None) -> typer.Typer:
    """The program, with the command that `argument` names alone, or with all if it names none."""
    return _make_app(argument if argument in {*_COMMANDS, *_GROUPS} else None)


@cache
def _make_app(only: str | None) -> typer.Typer:
    app = typer.Typer(
        name="gpu-infer",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options_of_the_program)
    for name, function in _COMMANDS.items():
        if only in (None, name):
            module = import_module(f"{__package__}.{function}")
            app.command(name, cls=OnceCommand)(getattr(module, function))
    for name in _GROUPS:
        if only in (None, name):
            app.add_typer(import_module(f"{__package__}.{name}").app, name=name)
    if only is None:
        app.command("version")(version.version)
    return app


def _options_of_the_program(
    version_only: Annotated[
        bool, typer.Option("--version", callback=version.print_and_exit, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Scanning-window segmentation of medical volumes on NVIDIA Triton."""
