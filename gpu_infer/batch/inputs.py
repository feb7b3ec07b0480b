"""What a case's files looked like, so that a later batch sees quickly whether they have changed."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from gpu_infer.batch.case import Case

Look = dict[str, Any]
"""Of a file: path, bytes, mtime_ns. Of a folder: path, files, bytes, mtime_ns (newest), names (a digest).
Of a path that does not exist: path."""

_BLOCK = 1 << 22


def look_at(path: Path | str) -> Look:
    """Size and time of a file, or of all files of a folder; nothing is read. Never raises for a missing path."""
    look: Look = {"path": str(Path(path).absolute())}
    try:
        status = Path(path).stat()
        if not stat.S_ISDIR(status.st_mode):
            return look | {"bytes": status.st_size, "mtime_ns": status.st_mtime_ns}
        return look | _folder(look["path"])
    except (OSError, ValueError):  # the run reports it, or the next one that it has changed
        return look


def look_at_inputs(case: Case) -> list[Look]:
    """The looks of a case's inputs; of one series among others, the files of that series alone."""
    if case.slices:
        look: Look = {"path": str(case.inputs[0].absolute())}
        try:
            return [look | _summary(map(str, case.slices))]
        except OSError:
            return [look]
    return [look_at(path) for path in case.inputs]


def _folder(folder: str) -> Look:
    """Of all files below a folder that are not hidden."""
    files: list[str] = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files += [f"{parent}/{name}" for name in names if not name.startswith(".")]
    return _summary(sorted(files), start=folder)


def _summary(files: Iterable[str], start: str = "/") -> Look:
    """Number and sizes of files, the newest time, and a digest of names from `start` on, sizes and times.

    Raises OSError.
    """
    names = hashlib.sha256()
    count, nbytes, newest = 0, 0, 0
    for path in files:
        status = Path(path).stat()
        count, nbytes, newest = count + 1, nbytes + status.st_size, max(newest, status.st_mtime_ns)
        names.update(os.fsencode(f"{os.path.relpath(path, start)}\0{status.st_size}\0{status.st_mtime_ns}\0"))
    return {"files": count, "bytes": nbytes, "mtime_ns": newest, "names": names.hexdigest()}


def has_content(paths: Sequence[str], nbytes: int, sha256: str | None) -> bool:
    """Whether the files have `nbytes` in all, and one after the other the digest `sha256`, which is the report's.

    Only files of that size are read.
    """
    if sha256 is None or not paths:
        return False
    try:
        return sum(Path(path).stat().st_size for path in paths) == nbytes and _digest(paths) == sha256
    except OSError:
        return False


def _digest(paths: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with Path(path).open("rb") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()
