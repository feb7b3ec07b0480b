"""report.json in a folder that several cases share: it is that of the last run.

No run removes the report of another case, and no failed run that of label maps which are still there.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping
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
    under that name, unless only the older run has label maps: its report then keeps that name. Raises `OSError`; the
    older report is then unchanged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / REPORT_NAME
    text = json.dumps(content, indent=2, default=str) + "\n"
    with ExitStack() as stack:
        with suppress(OSError, ResourceError):  # without a lock, two runs that end at once may lose one report
            stack.enter_context(folder_lock(folder))
        older = _read(path)
        older_case, case = _case(older), _case(content)
        if older_case is not None and (older_case != case or _is_only_result(older, content, folder)):
            _rename(path, older, older_case)
        replace_text(path, text)
        if case is not None:
            place = _place(folder, case)
            if not _is_only_result(_read(place), content, folder):
                with suppress(OSError):
                    place.unlink(missing_ok=True)
    return path


def _rename(path: Path, report: Mapping[str, Any], case: Case) -> None:
    """Give report.json, which is `report`, the name of its case, unless that name has the report of its label maps."""
    place = _place(path.parent, case)
    if _is_only_result(_read(place), report, path.parent):
        return
    replace_bytes(place, path.read_bytes())
    log.info("%s: that of case %s is now %s", path, case[0], place.name)


def _is_only_result(older: Mapping[str, Any], newer: Mapping[str, Any], folder: Path) -> bool:
    """Whether there are label maps of the older run, but none of the newer one."""
    return _has_results(older, folder) and not _has_results(newer, folder)


def _has_results(report: Mapping[str, Any], folder: Path) -> bool:
    """Whether a label map of the run is where the report says, or in `folder`, which may have been moved."""
    return any(path.is_file() or (folder / path.name).is_file() for path in _results(report))


def _results(report: Mapping[str, Any]) -> Iterator[Path]:
    """The label maps of a run; in index space, which has none, its DICOM files."""
    outputs = [output for output in _list(report.get("outputs")) if isinstance(output, dict)]
    files = [file for output in outputs for file in _list(output.get("files")) if isinstance(file, dict)]
    dicom = report.get("dicom")
    names = [
        *(output.get("mhd") for output in outputs),
        *(file.get("path") for file in files),
        *_list(dicom.get("files") if isinstance(dicom, dict) else None),
    ]
    return (Path(name) for name in names if isinstance(name, str))


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _place(folder: Path, case: Case) -> Path:
    """The first place for a report of the case that is free, or has one of the same case."""
    places = (folder / name_of_case(case[0], REPORT_NAME, number) for number in count(1))
    return next(place for place in places if not os.path.lexists(place) or _case(_read(place)) == case)


def _read(path: Path) -> dict[str, Any]:
    """The object in a file; an empty one if there is none."""
    if path.is_symlink() or not path.is_file():
        return {}
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _case(report: Mapping[str, Any]) -> Case | None:
    """The case of a report; None for the content of another program, or if the run did not come so far."""
    source = report.get("input")
    path = source.get("path") if isinstance(source, dict) else None
    if not isinstance(path, str):
        return None
    name = report.get("case", base_name(Path(path)))  # older versions do not name the case
    return (name, path) if isinstance(name, str) and Path(name).name == name and "\0" not in name else None
