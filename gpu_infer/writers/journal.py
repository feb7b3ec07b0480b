"""Progress of a move into place, so that the move of a killed process can be undone or completed.

A stage (`staging`) has the new files, the folder `replaced/` with the older files that moved aside, and this journal,
which is on the disk before the first rename. A new file that is no longer in the stage is in its place. When the last
file is in its place, the move is complete and the older files are useless. Until then they are the only copies and must
come back.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gpu_infer.system.atomic_file import sync
from gpu_infer.writers.staging import ASIDE, remove_stage

log = logging.getLogger(__name__)

_FILE = ".journal"
_HEADER = ".mhd"


@dataclass(frozen=True)
class Journal:
    """Names of the new files in the order in which they appear, and the inode of each."""

    names: tuple[str, ...]
    inodes: tuple[int, ...]

    @classmethod
    def begin(cls, stage: Path, names: Sequence[str]) -> Journal:
        """Write the journal of the new files `names` of `stage`, and flush it to the disk."""
        journal = cls(tuple(names), tuple((stage / name).lstat().st_ino for name in names))
        text = json.dumps({"names": journal.names, "inodes": journal.inodes})
        half = stage / f"{_FILE}.half"
        half.write_text(text, encoding="ascii")
        sync(half)  # without it, a power cut could leave the final name with an empty or a cut file
        half.replace(stage / _FILE)
        sync(stage)
        return journal

    @classmethod
    def read(cls, stage: Path) -> Journal | None:
        """Read the journal of a stage; None if the move never began, or if the file is damaged."""
        try:
            return cls._parse((stage / _FILE).read_text(encoding="ascii"))
        except (FileNotFoundError, ValueError, RecursionError):
            return None

    @classmethod
    def _parse(cls, text: str) -> Journal:
        content = json.loads(text)
        if not isinstance(content, dict):
            raise ValueError("no object")
        names, inodes = content.get("names"), content.get("inodes")
        if not isinstance(names, list) or not isinstance(inodes, list) or not 0 < len(names) == len(inodes):
            raise ValueError("no names, or not an inode for each")
        if not all(isinstance(name, str) for name in names) or not all(isinstance(inode, int) for inode in inodes):
            raise ValueError("names that are no texts, or inodes that are no numbers")
        return cls(tuple(names), tuple(inodes))

    @staticmethod
    def exists(stage: Path) -> bool:
        return (stage / _FILE).exists()

    def is_complete(self, stage: Path) -> bool:
        """Whether the last file, which makes the others valid, is in its place."""
        return not os.path.lexists(stage / self.names[-1])


def undo(stage: Path, folder: Path) -> list[str]:
    """Undo a move that is not complete, and return the names of the older files that are back in `folder`.

    If another program has since put a file into one of the places, that file stays, and the older one stays in
    `replaced/`. Without a journal, the owner of such a file is unknown. It may be new voxels, so the older headers stay
    in `replaced/`, too.
    """
    journal = Journal.read(stage)
    if journal is not None:
        if journal.is_complete(stage):
            return []
        for name, inode in reversed(list(zip(journal.names, journal.inodes, strict=True))):
            placed = folder / name
            if not os.path.lexists(stage / name) and os.path.lexists(placed) and placed.lstat().st_ino == inode:
                placed.rename(stage / name)
    restored = []
    is_taken = False
    for name in _in_order(stage, journal):
        if os.path.lexists(folder / name):
            is_taken = True
        elif journal is not None or not is_taken or not name.endswith(_HEADER):
            (stage / ASIDE / name).rename(folder / name)
            restored.append(name)
    return restored


def discard(stage: Path) -> bool:
    """Remove a stage and its files; if it has the only copy of an older file, remove nothing and return False."""
    journal = Journal.read(stage)
    if journal is not None and journal.is_complete(stage):
        shutil.rmtree(stage / ASIDE, ignore_errors=True)
    if only_copies := _in_order(stage, journal):
        log.warning("%s: older files could not be put back: %s", stage / ASIDE, ", ".join(only_copies))
        return False
    (stage / _FILE).unlink(missing_ok=True)  # first: a stage without journal and `replaced/` is known to be worthless
    remove_stage(stage)
    return True


def _in_order(stage: Path, journal: Journal | None) -> list[str]:
    """Names of the files in `replaced/`; the header, which makes the others valid, is last."""
    try:
        names = [path.name for path in (stage / ASIDE).iterdir()]
    except FileNotFoundError:
        return []
    order = {} if journal is None else {name: place for place, name in enumerate(journal.names)}
    return sorted(names, key=lambda name: (order.get(name, -1), name.endswith(_HEADER), name))
