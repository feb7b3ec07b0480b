"""`gpu-infer version` and `gpu-infer --version`."""

from __future__ import annotations

import typer

from gpu_infer.cli.console import say


def version() -> None:
    """Print the version."""
    from gpu_infer import __version__

    say(f"gpu-infer {__version__}")


def print_and_exit(wanted: bool) -> None:
    """Callback of the option --version."""
    if wanted:
        version()
        raise typer.Exit
