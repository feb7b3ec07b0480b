"""`gpu-infer version`."""

from __future__ import annotations

from .console import say


def version() -> None:
    """Print the version."""
    from .. import __version__

    say(f"gpu-infer {__version__}")
