"""Older files of a folder that change their names or go while new files move into it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class OlderFiles:
    """Files of other cases, in a stage, under the names that they get; and older files that these make useless."""

    names: list[str] = field(default_factory=list)
    obsolete: list[str] = field(default_factory=list)
