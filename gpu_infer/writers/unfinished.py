"""Stages that runs could not remove because they were killed while they wrote: find them, and clean up."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from gpu_infer.writers.journal import Journal, discard, undo
from gpu_infer.writers.staging import ASIDE, claim_stage, find_stages, folder_lock


@dataclass
class Unfinished:
    """Stages in a folder, by the state of their runs.

    dead     no run writes to it any more
    living   a run writes to it
    foreign  this user may not look into it
    """

    dead: list[Path] = field(default_factory=list)
    living: list[Path] = field(default_factory=list)
    foreign: list[Path] = field(default_factory=list)


@dataclass
class Cleanup:
    """Result of `clean`.

    removed   stages that do not exist any more
    restored  older outputs that a killed run had moved aside, now back in their places
    stuck     stages with the only copy of a file whose place is taken, or that cannot be removed
    """

    removed: list[Path] = field(default_factory=list)
    restored: list[Path] = field(default_factory=list)
    stuck: list[Path] = field(default_factory=list)


def find_unfinished(folder: Path) -> Unfinished:
    """Find the stages in `folder`; none counts as dead if its file system has no locks on folders."""
    unfinished = Unfinished()
    if not find_stages(folder):
        return unfinished
    with folder_lock(folder) as is_locked:
        for stage in find_stages(folder):
            try:
                with claim_stage(stage) as is_dead:
                    (unfinished.dead if is_dead and is_locked else unfinished.living).append(stage)
            except PermissionError:
                unfinished.foreign.append(stage)
    return unfinished


def clean(folder: Path) -> Cleanup:
    """Undo the unfinished moves of killed runs in `folder`, then remove their stages.

    An older output that moved aside comes back first: the only copy of a file is never removed. Raises `OSError` if a
    file cannot be moved back.
    """
    cleanup = Cleanup()
    if find_stages(folder):
        with folder_lock(folder) as is_locked:
            for stage in find_stages(folder) if is_locked else []:
                _clean_stage(stage, folder, cleanup)
    return cleanup


def undo_unfinished_moves(folder: Path) -> None:
    """Undo the unfinished moves of killed runs in `folder`; the caller has its lock.

    Stages whose files never began to appear stay for `clean`.
    """
    for stage in find_stages(folder):
        if (stage / ASIDE).is_dir() or Journal.exists(stage):
            _clean_stage(stage, folder, Cleanup())


def _clean_stage(stage: Path, folder: Path, cleanup: Cleanup) -> None:
    try:
        with claim_stage(stage) as is_dead:
            if is_dead:
                cleanup.restored += [folder / name for name in undo(stage, folder)]
                is_gone = discard(stage) and not stage.exists()
                (cleanup.removed if is_gone else cleanup.stuck).append(stage)
    except PermissionError:  # of another user
        cleanup.stuck.append(stage)
