"""What became of the files that were sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Outcome:
    """Files that the archive has confirmed, and the reason for each of the others.

    stored   confirmed with a status of success
    warned   confirmed with a warning: stored, but changed or not as they are
    refused  (file, reason) of the others, in the order of the files
    """

    stored: list[Path] = field(default_factory=list)
    warned: list[tuple[Path, str]] = field(default_factory=list)
    refused: list[tuple[Path, str]] = field(default_factory=list)

    def refuse_rest(self, files: Sequence[Path], reason: str) -> None:
        """Refuse all of `files` that have no outcome yet."""
        known = {*self.stored, *(file for file, _ in self.refused)}
        self.refused += [(file, reason) for file in files if file not in known]
