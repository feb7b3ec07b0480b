"""The folder of a case before an attempt: nothing in it can be taken for the outputs of this attempt."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from gpu_infer.batch.state import FILE, Record, read_record
from gpu_infer.writers.atomic import folder_error
from gpu_infer.writers.unfinished import clean

EARLIER = "earlier"
"""Folder inside that of a case, with the outputs of an earlier batch until the case is done again."""

_PARTIAL = re.compile(r"\.(case\.json|report\.json|status\.csv|summary\.json)\.[0-9a-f]{16}\.partial")
"""Names of the temporary files of `replace_text`."""


def prepare(folder: Path) -> list[str]:
    """Move the outputs that case.json lists into `EARLIER`, remove case.json and what killed attempts have left.

    A case that fails, or is given up, has no label map then that a reader could take for its own. Returns the names of
    the files that were moved, relative to `folder`.

    Raises:
        ConfigError: a case.json of another program is there, or the folder cannot be written.
        ResourceError: the disk fails.
    """
    if not folder.is_dir():
        return []
    record = read_record(folder)
    try:
        moved = [] if record is None else _move(folder, record)
        (folder / FILE).unlink(missing_ok=True)
        remove_partial_files(folder)
    except OSError as error:
        raise folder_error(error, folder) from error
    return moved


def remove_earlier(folder: Path, names: Iterable[str]) -> None:
    """Remove the files `names` of an earlier batch, which new ones have replaced. What cannot be removed stays."""
    earlier = folder / EARLIER
    if not earlier.is_dir():
        return
    paths = [earlier / name for name in names if _is_inside(name)]
    for path in paths:
        with suppress(OSError):
            path.unlink(missing_ok=True)
    for parent in sorted({*(path.parent for path in paths), earlier}, key=lambda path: -len(path.parts)):
        with suppress(OSError):
            parent.rmdir()  # unless it has other files


def remove_partial_files(folder: Path) -> None:
    """Remove the files that killed processes were writing in `folder`. Raises OSError."""
    clean(folder)
    for path in folder.iterdir():
        if _PARTIAL.fullmatch(path.name):
            with suppress(FileNotFoundError):
                path.unlink()


def _move(folder: Path, record: Record) -> list[str]:
    """Move the outputs of a record that are inside the folder; returns their names."""
    names = [name for name in record.get("files", ()) if _is_inside(name) and (folder / name).is_file()]
    for name in names:
        target = folder / EARLIER / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (folder / name).replace(target)
    return names


def _is_inside(name: str) -> bool:
    path = Path(name)
    return not path.is_absolute() and ".." not in path.parts
