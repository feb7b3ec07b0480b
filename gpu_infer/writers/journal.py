"""What a move into place has done so far, so that one that was killed can be undone or completed.

A stage (`stages`) holds the new files, `replaced/` with the older ones that stepped aside, and this journal, on the
disk before the first rename. A new file that is no longer in the stage is in its place; when the last one is, the move
is complete and the older files are of no use. Until then they are the only copies and come back.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gpu_infer.writers.stages import ASIDE, remove_stage
from gpu_infer.writers.sync import sync

logger = logging.getLogger(__name__)

_FILE = ".journal"
_HEADER = ".mhd"


@dataclass(frozen=True)
class Journal:
    """names in the order in which they appear, and the inode of each new file."""

    names: tuple[str, ...]
    inodes: tuple[int, ...]

    @classmethod
    def begin(cls, stage: Path, names: Sequence[str]) -> Journal:
        """Write the journal of the new files `names` of `stage`; it is on the disk afterwards."""
        journal = cls(tuple(names), tuple((stage / name).lstat().st_ino for name in names))
        text = json.dumps({"names": journal.names, "inodes": journal.inodes})
        half = stage / f"{_FILE}.half"
        half.write_text(text, encoding="ascii")
        sync(half)  # else a power cut leaves the name with nothing, or half of it, behind
        half.replace(stage / _FILE)
        sync(stage)
        return journal

    @classmethod
    def read(cls, stage: Path) -> Journal | None:
        """The journal of a stage; None if the move never began, or if the file is damaged and does not say how far."""
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
    """Take back a move that is not complete; the names of older files that came back into `folder`.

    A file that somebody else has put into a place since then stays there, and the older one in `replaced/`. Without a
    journal nobody knows whose it is: new voxels, perhaps, so that the older headers stay, too.
    """
    journal = Journal.read(stage)
    if journal is not None:
        if journal.is_complete(stage):
            return []
        for name, inode in reversed(list(zip(journal.names, journal.inodes, strict=True))):
            placed = folder / name
            if not os.path.lexists(stage / name) and os.path.lexists(placed) and placed.lstat().st_ino == inode:
                placed.rename(stage / name)
    back = []
    is_taken = False
    for name in _in_order(stage, journal):
        if os.path.lexists(folder / name):
            is_taken = True
        elif journal is not None or not is_taken or not name.endswith(_HEADER):
            (stage / ASIDE / name).rename(folder / name)
            back.append(name)
    return back


def discard(stage: Path) -> bool:
    """Remove a stage and what is in it; False, and nothing is removed, if it has the only copy of an older file."""
    journal = Journal.read(stage)
    if journal is not None and journal.is_complete(stage):
        shutil.rmtree(stage / ASIDE, ignore_errors=True)
    if kept := _in_order(stage, journal):
        logger.warning("%s: older files could not be put back: %s", stage / ASIDE, ", ".join(kept))
        return False
    (stage / _FILE).unlink(missing_ok=True)  # first: without it what is left is plainly worthless
    remove_stage(stage)
    return True


def _in_order(stage: Path, journal: Journal | None) -> list[str]:
    """Names in `replaced/`, the header, which makes the others valid, last."""
    try:
        names = [path.name for path in (stage / ASIDE).iterdir()]
    except FileNotFoundError:
        return []
    order = {} if journal is None else {name: place for place, name in enumerate(journal.names)}
    return sorted(names, key=lambda name: (order.get(name, -1), name.endswith(_HEADER), name))
