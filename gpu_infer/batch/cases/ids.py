"""Identifiers of cases: each is the name of a folder, and of all files in it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from gpu_infer.batch.case import Case
from gpu_infer.errors import InputError
from gpu_infer.volume.case_name import clean
from gpu_infer.volume.input_files import extension

LONGEST = 120
"""Bytes of an identifier: the names of outputs are up to 100 bytes longer, those of files end at 255."""

RESERVED = ("status.csv", "summary.json", "gpu_infer.log", "report.json", "case.json")
"""Files of a batch, and of a case."""

_OTHERS = ("-", "_", ".", "+")
_TABLE = "give the cases other names in a table: a .csv with the columns id,input"


def make_id(*parts: str) -> str:
    """The identifier of a case from the names of its folders and its file; other characters become _."""
    return clean("_".join(parts))


def folder_name(folder: Path) -> str:
    """The name of a folder, also of `.` and `..`; a link keeps its own."""
    return Path(os.path.abspath(folder)).name  # noqa: PTH100  Path.resolve follows links


def id_problem(name: str) -> str | None:
    """Why `name` can be no identifier; None if it can."""
    if not name:
        return "it is empty"
    if wrong := next((c for c in name if not (c.isalnum() or c in _OTHERS)), None):
        return f"it contains {wrong!r}, expected letters, digits and {' '.join(_OTHERS)}"
    if not name[0].isalnum():
        return f"it begins with {name[0]}, expected a letter or digit"
    if (length := len(os.fsencode(name))) > LONGEST:
        return f"it has {length} bytes, expected at most {LONGEST}"
    if name.casefold() in RESERVED:
        return "a batch has a file of this name"
    if extension(Path(name)) is not None:
        return "it ends like the name of a volume, expected a name without extension"
    return None


def check_ids(cases: Iterable[Case], *, remedy: str = _TABLE) -> None:
    """Raise `InputError` for an identifier that cannot be used, or that two cases have.

    Names that differ in upper and lower case only are the same: some file systems do not distinguish them.
    """
    by_id: dict[str, Case] = {}
    for case in cases:
        if (problem := id_problem(case.id)) is not None:
            raise InputError(
                f"{case.inputs[0]}: {case.id[:LONGEST]!r} is no identifier of a case: {problem}", remedy=remedy
            )
        other = by_id.setdefault(case.id.casefold(), case)
        if other is not case:
            same = case.id if case.id == other.id else f"{other.id} and {case.id}"
            raise InputError(
                f"two cases would be {same}: {other.inputs[0]} and {case.inputs[0]}, expected different names",
                remedy=remedy,
            )
