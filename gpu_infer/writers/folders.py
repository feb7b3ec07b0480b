"""Output folders."""

from __future__ import annotations

from pathlib import Path

from .atomic import explained


def make_folder(folder: Path) -> None:
    """Make `folder` and its parents when missing; ConfigError or ResourceError, naming it, when that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise explained(error, folder) from error
