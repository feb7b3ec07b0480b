"""What a command says on stdout."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def stdout() -> Console:
    """A console on stdout that never breaks or colours paths and numbers: scripts read these lines too."""
    from rich.console import Console

    return Console(soft_wrap=True, highlight=False, markup=False, emoji=False)


def say(*lines: str) -> None:
    """Write lines to stdout as they are."""
    console = stdout()
    for line in lines:
        console.print(line)


def say_json(data: object) -> None:
    """Write `data` to stdout as indented JSON."""
    import json

    say(json.dumps(data, indent=2, default=str))
