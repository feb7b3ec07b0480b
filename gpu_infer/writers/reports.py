"""report.json in a folder that several cases share: it is that of the last run, and no run removes another case's."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from itertools import count
from pathlib import Path
from typing import Any

from gpu_infer.errors import ResourceError
from gpu_infer.system.atomic_file import replace_bytes, replace_text
from gpu_infer.volume.input_files import base_name
from gpu_infer.writers.names import name_of_case
from gpu_infer.writers.staging import folder_lock

log = logging.getLogger(__name__)

REPORT_NAME = "report.json"

Case = tuple[str, str]
"""Name and input of the case of a report."""


def write_report(folder: Path, content: Mapping[str, Any]) -> Path:
    """Write report.json into `folder` (created if missing), whole or not at all, and return its path.

    If the older one is of another case, it becomes `<case>.report.json` first. One of the same case is replaced, also
    under that name. Raises `OSError`; the older report is then unchanged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / REPORT_NAME
    text = json.dumps(content, indent=2, default=str) + "\n"
    with ExitStack() as stack:
        with suppress(OSError, ResourceError):  # without a lock, two runs that end at once may lose one report
            stack.enter_context(folder_lock(folder))
        older, case = _case_of(path), _case(content)
        if older is not None and older != case:
            place = _place(folder, older)
            replace_bytes(place, path.read_bytes())
            log.info("%s: that of case %s is now %s", path, older[0], place.name)
        replace_text(path, text)
        if case is not None:
            with suppress(OSError):
                _place(folder, case).unlink(missing_ok=True)
    return path


def _place(folder: Path, case: Case) -> Path:
    """The first place for a report of the case that is free, or has one of the same case."""
    places = (folder / name_of_case(case[0], REPORT_NAME, number) for number in count(1))
    return next(place for place in places if not os.path.lexists(place) or _case_of(place) == case)


def _case_of(path: Path) -> Case | None:
    """The case of the report in a file; None without a report of ours, or if the run did not come so far."""
    if path.is_symlink() or not path.is_file():
        return None
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return _case(content) if isinstance(content, dict) else None


def _case(report: Mapping[str, Any]) -> Case | None:
    source = report.get("input")
    path = source.get("path") if isinstance(source, dict) else None
    if not isinstance(path, str):
        return None
    name = report.get("case", base_name(Path(path)))  # older versions do not name the case
    return (name, path) if isinstance(name, str) and Path(name).name == name and "\0" not in name else None
