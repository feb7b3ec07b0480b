"""Output folders."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gpu_infer.errors import ConfigError, ResourceError
from gpu_infer.writers.atomic import explained


def make_folder(folder: Path) -> None:
    """Make `folder` and its parents when missing; ConfigError or ResourceError, naming it, when that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise explained(error, folder) from error


@contextmanager
def still_there(folder: Path) -> Iterator[None]:
    """For a block that writes into a folder that was checked before: one that is gone is no fault of the options.

    A `ConfigError` of the block becomes a `ResourceError` if `folder` does not exist any more.
    """
    try:
        yield
    except ConfigError as error:
        if folder.is_dir():
            raise
        raise ResourceError(
            f"{folder}: removed while the run went on, expected the folder that was there at its start",
            remedy="run again, and leave the folder alone meanwhile",
        ) from error
