"""Progress events of a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """`done` of `total` steps of a stage: windows in the stage "infer", 0 of 1 and 1 of 1 in every other stage."""

    stage: str
    done: int
    total: int


ProgressCallback = Callable[[Progress], None]


def silent(_: Progress) -> None:
    """Ignore progress."""
