"""Output of commands on stdout."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

from gpu_infer.cli.streams import write
from gpu_infer.errors import ResourceError

if TYPE_CHECKING:
    from rich.console import Console

log = logging.getLogger(__name__)


def stdout() -> Console:
    """A console on stdout that does not break or colour paths and numbers, because scripts read these lines too."""
    from rich.console import Console

    return Console(soft_wrap=True, highlight=False, markup=False, emoji=False)


def say(*lines: str) -> None:
    """Write the result of a command to stdout, unchanged.

    A reader that stops reading (`gpu-infer … | head`) is no error. Raises ResourceError for other failures.
    """
    error = write(sys.stdout, "".join(f"{line}\n" for line in lines))
    if error is not None and not isinstance(error, BrokenPipeError):
        raise ResourceError(f"stdout cannot be written: {error.strerror}", remedy="send it to another place")


def say_done(*lines: str) -> None:
    """Write lines about complete files; a stdout that cannot be written is only a warning."""
    error = write(sys.stdout, "".join(f"{line}\n" for line in lines))
    if error is not None and not isinstance(error, BrokenPipeError):
        log.warning("stdout cannot be written: %s (the files are complete)", error.strerror)


def as_json(data: object) -> str:
    """`data` as indented JSON."""
    import json

    return json.dumps(data, indent=2, default=str)
