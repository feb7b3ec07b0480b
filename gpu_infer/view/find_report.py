"""The report of the run whose label maps a folder has."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any, NamedTuple

from gpu_infer.errors import InputError
from gpu_infer.writers.places import META_NAME
from gpu_infer.writers.reports import REPORT_NAME

log = logging.getLogger(__name__)


class RunReport(NamedTuple):
    """The content of a report, and its file."""

    content: dict[str, Any]
    place: Path

    @property
    def is_done(self) -> bool:
        return self.content.get("status") == "done"

    @property
    def error(self) -> str:
        return str(self.content.get("error", "unknown error"))

    def label_map(self, section: dict[str, Any]) -> Path:
        """The file of a label map in `outputs`, the .mhd or the first of its formats, also if the folder was moved.

        A file next to the report comes first: another case may have a file at the old place. Raises `KeyError` or
        `IndexError` for a section without a file.
        """
        path = Path(str(section.get("mhd") or section["files"][0]["path"]))
        near = self.place.parent / path.name
        return near if near.is_file() else path


def find_report(folder: Path) -> RunReport | None:
    """Return the report of the last run that wrote label maps into `folder`; None without any report.

    The logs folder may be `folder`, `logs` in it, or `logs` next to it, as `gpu-infer demo` has it; there, other runs
    may have written into other folders since. A warning says if
    that run, or one after it, failed. Raises `InputError` if only failed runs without label maps have reports.
    """
    failed: RunReport | None = None
    for logs in (folder, folder / "logs", folder.parent / "logs"):
        last = _read_report(logs / REPORT_NAME)
        if last is None:
            continue
        if _has_outputs(last):
            is_last = logs.is_relative_to(folder) or _wrote_into(last, folder)  # else that had another output folder
            found = last if is_last else _newest(_there(logs, folder))
            if found is not None:
                if not found.is_done:
                    log.warning("%s: the run failed after it wrote the label maps: %s", found.place, found.error)
                return found
        elif not last.is_done:
            earlier = _earlier(last, folder)
            if earlier is not None:
                log.warning(
                    "%s: the last run failed: %s (this is the result of an earlier run, of %s)",
                    *(last.place, last.error, earlier.place.name),
                )
                return earlier
            failed = failed or last
    if failed is not None:
        has_remedy = failed.error.endswith(")")  # as errors have it at their end
        raise InputError(
            f"{failed.place}: the last run failed, and no report names label maps of an earlier one: {failed.error}",
            remedy=None if has_remedy else "run the segmentation again, or give the publish folder of an earlier run",
        )
    return None


def case_below(folder: Path) -> Path | None:
    """A folder of a case in the output or publish folder of a batch, if possible of one that is done; else None."""
    places = sorted(folder.glob(f"*/{REPORT_NAME}"))
    done = (place.parent for place in places if (report := _read_report(place)) is not None and report.is_done)
    published = (place.parent for place in sorted(folder.glob(f"*/{META_NAME}")))
    return next(done, places[0].parent if places else next(published, None))


def read_object(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file; None if there is none."""
    try:
        content: object = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _read_report(place: Path) -> RunReport | None:
    content = read_object(place)
    return None if content is None else RunReport(content, place)


def _has_outputs(report: RunReport) -> bool:
    return isinstance(report.content.get("outputs"), list) and bool(report.content["outputs"])


def _earlier(last: RunReport, folder: Path) -> RunReport | None:
    """The newest report in the folder of `last` whose label maps are in `folder`, one of the same case if there is."""
    reports = _there(last.place.parent, folder)
    return _newest([report for report in reports if report.content.get("case") == last.content.get("case")] or reports)


def _there(logs: Path, folder: Path) -> list[RunReport]:
    """The reports of earlier runs in `logs` whose label maps are in `folder`."""
    reports = (_read_report(place) for place in sorted(logs.glob(f"*.{REPORT_NAME}")))
    return [r for r in reports if r is not None and _has_outputs(r) and _is_there(r, folder)]


def _newest(reports: list[RunReport]) -> RunReport | None:
    return max(reports, key=lambda report: str(report.content.get("started")), default=None)


def _is_there(report: RunReport, folder: Path) -> bool:
    """Whether the label maps of a run are still in `folder`."""
    return _wrote_into(report, folder) and all(
        report.label_map(section).is_file() for section in report.content["outputs"]
    )


def _wrote_into(report: RunReport, folder: Path) -> bool:
    """Whether the label maps of a run are in `folder`: runs with other output folders may share their logs."""
    try:
        paths = [report.label_map(section) for section in report.content["outputs"]]
        return all(path.parent.resolve() == folder.resolve() for path in paths)
    except (KeyError, IndexError, TypeError, AttributeError, ValueError, OSError, RuntimeError):
        return False  # damaged; the last three: names with null bytes, and links in a circle
