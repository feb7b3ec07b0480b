"""What runs left in a folder when they were killed while they wrote."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from gpu_infer.writers.journal import Journal, discard, undo
from gpu_infer.writers.stages import ASIDE, claim, find_stages, folder_lock


@dataclass
class Unfinished:
    """Hidden folders by what has become of their runs.

    dead     nobody writes to it any more
    living   a run writes to it
    foreign  this user may not look into it
    """

    dead: list[Path] = field(default_factory=list)
    living: list[Path] = field(default_factory=list)
    foreign: list[Path] = field(default_factory=list)


@dataclass
class Cleaned:
    """What `clean` has done.

    removed   hidden folders that are gone
    restored  older outputs that a killed run had moved aside, back in their places
    stuck     hidden folders with the only copy of a file whose place is taken, or that cannot be removed
    """

    removed: list[Path] = field(default_factory=list)
    restored: list[Path] = field(default_factory=list)
    stuck: list[Path] = field(default_factory=list)


def find_unfinished(folder: Path) -> Unfinished:
    """The hidden folders in `folder`; none is dead if its file system knows no locks on folders."""
    unfinished = Unfinished()
    if not find_stages(folder):
        return unfinished
    with folder_lock(folder) as is_locked:
        for stage in find_stages(folder):
            try:
                with claim(stage) as is_dead:
                    (unfinished.dead if is_dead and is_locked else unfinished.living).append(stage)
            except PermissionError:
                unfinished.foreign.append(stage)
    return unfinished


def clean(folder: Path) -> Cleaned:
    """Undo what killed runs had begun in `folder`, then remove their hidden folders.

    An older output that was moved aside comes back first: the only copy of a file is never removed. Raises
    `OSError` if a file cannot be put back.
    """
    cleaned = Cleaned()
    if find_stages(folder):
        with folder_lock(folder) as is_locked:
            for stage in find_stages(folder) if is_locked else []:
                _clean_stage(stage, folder, cleaned)
    return cleaned


def settle_moves(folder: Path) -> None:
    """Undo the moves that killed runs had begun in `folder`; the caller holds its lock.

    Other hidden folders, whose files never began to appear, are left to `clean`.
    """
    for stage in find_stages(folder):
        if (stage / ASIDE).is_dir() or Journal.exists(stage):
            _clean_stage(stage, folder, Cleaned())


def _clean_stage(stage: Path, folder: Path, cleaned: Cleaned) -> None:
    try:
        with claim(stage) as is_dead:
            if is_dead:
                cleaned.restored += [folder / name for name in undo(stage, folder)]
                is_gone = discard(stage) and not stage.exists()
                (cleaned.removed if is_gone else cleaned.stuck).append(stage)
    except PermissionError:  # of another user
        cleaned.stuck.append(stage)
