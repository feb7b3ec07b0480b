"""What stays of other cases while new files move into a folder."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Kept:
    """Files of other cases, in a stage, under the names that they get; and older files that these make useless."""

    names: list[str] = field(default_factory=list)
    obsolete: list[str] = field(default_factory=list)
