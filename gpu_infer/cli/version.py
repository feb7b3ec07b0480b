"""`gpu-infer version`."""

from __future__ import annotations

from gpu_infer.cli.console import say


def version() -> None:
    """Print the version."""
    from gpu_infer import __version__

    say(f"gpu-infer {__version__}")
