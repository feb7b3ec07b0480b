"""case.json: the state of one case on the disk, written last, from which a later batch decides what there is to do."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from gpu_infer._version import __version__
from gpu_infer.batch.case import Case
from gpu_infer.batch.error_kinds import TRANSIENT
from gpu_infer.batch.inputs import Look, has_content, look_at, look_at_inputs
from gpu_infer.batch.job import BatchJob
from gpu_infer.batch.job_key import JobKey
from gpu_infer.batch.outcome import Outcome
from gpu_infer.errors import ConfigError
from gpu_infer.system.atomic_file import replace_text

FILE = "case.json"
FORMAT = "gpu_infer case 1"
"""Value of the key "format": another object under the name case.json belongs to another program."""

_HEAD = f'{{\n "format": "{FORMAT}"'.encode()
"""With which `write_record` begins."""

Record = dict[str, Any]
"""Content of a case.json, as `done_record` and `failed_record` make it."""


class Decision(NamedTuple):
    """todo: run the case; done, failed: it ended before, with `record`, and nothing has changed since.

    has_new_times  the files have other times or places than case.json says, with the same content
    """

    state: Literal["todo", "done", "failed"]
    record: Record | None = None
    has_new_times: bool = False


def decide(job: BatchJob, case: Case, key: JobKey, *, force: bool = False, retry_failed: bool = False) -> Decision:
    """Whether a case has to run. Equal sizes and times of the inputs decide at once, else their content does.

    Raises nothing for a file that is damaged or not ours: then the case has to run, and its worker decides.
    """
    try:
        return _decide(job, case, key, force=force, retry_failed=retry_failed)
    except (KeyError, TypeError, AttributeError):  # values of other types than ours
        return Decision("todo")


def _decide(job: BatchJob, case: Case, key: JobKey, *, force: bool, retry_failed: bool) -> Decision:
    record = None if force else _own_record(job.case_folder(case))
    if record is None or record.get("id") != case.id or record.get("series") != series_digest(case):
        return Decision("todo")
    if (record.get("config"), record.get("options")) != key:
        return Decision("todo")
    is_done = record.get("status") == "done"
    if not is_done and (retry_failed or record.get("kind") in TRANSIENT):
        return Decision("todo")
    folder = job.case_folder(case)
    if is_done and not all((folder / name).exists() for name in record.get("files", ())):
        return Decision("todo")
    current = _unchanged(case, record)
    if current is None:
        return Decision("todo")
    return Decision("done" if is_done else "failed", current, current is not record)


def _unchanged(case: Case, record: Record) -> Record | None:
    """The record, with new times if only these differ; None if the inputs have changed."""
    inputs = look_at_inputs(case)
    paths = [look["path"] for look in record["read"]]
    are_folders = all("names" in look for look in inputs)
    if inputs == record["inputs"]:
        same_files = record["read"] == inputs  # as a rule, so that no file is looked at twice
        if are_folders or same_files or [look_at(path) for path in paths] == record["read"]:
            return record
    if paths == [look["path"] for look in record["inputs"]]:
        paths = [look["path"] for look in inputs]  # which may be elsewhere now; companions are not looked for
    if not has_content(paths, record["bytes"], record["sha256"]):
        return None
    return {**record, "inputs": inputs, "read": _read(paths, inputs)}


def _read(paths: Sequence[str], inputs: Sequence[Look]) -> list[Look]:
    """What the run read: files, or the names of those in a folder, of which `inputs` has the times."""
    if any("names" in look for look in inputs):
        return [{"path": str(Path(path).absolute())} for path in paths]
    return [look_at(path) for path in paths]


def done_record(
    case: Case,
    key: JobKey,
    outcome: Outcome,
    inputs: Sequence[Look],
    files: Sequence[Path],
    folder: Path,
    begun_ns: int | None = None,
) -> Record:
    """The record of a case whose outputs are complete.

    Args:
        case, key, outcome: of the run.
        inputs: the inputs as they were before the run.
        files: every output; those inside `folder`, the case's, are recorded relative to it.
        folder: the case's.
        begun_ns: time of the begin of the run. Of a file that has changed since, nothing is recorded by which a later
            batch would know it: the run may have read what was there before.
    """
    report = outcome.report
    section = report.get("input", {})
    paths = section.get("files") or [section.get("path", "")]
    read = _read(paths, inputs) if all(Path(path).is_file() for path in paths) else []  # unpacked from an archive
    changed = begun_ns is not None and any(begun_ns <= look.get("mtime_ns", 0) <= time.time_ns() for look in read)
    if changed:
        read = [{**look, "mtime_ns": 0} for look in read]
    home = folder.absolute()
    written = {file.absolute() for file in files}
    inside = [file.relative_to(home) if file.is_relative_to(home) else file for file in written]
    return {
        **_head(case, key, outcome, inputs),
        "read": read,
        "bytes": sum(Path(look["path"]).stat().st_size for look in read),
        "sha256": None if changed else section.get("sha256"),
        "model": _model(report.get("model", {})),
        "labels": outcome.labels,
        "files": sorted(map(str, inside)),
    }


def _model(section: Mapping[str, Any]) -> Record:
    """Name and version of the model; of several, those of the first one, and all in `models`."""
    several = [{name: each.get(name) for name in ("name", "version")} for each in section.get("models", ())]
    return {**{name: section.get(name) for name in ("name", "version")}, **({"models": several} if several else {})}


def failed_record(case: Case, key: JobKey, outcome: Outcome, inputs: Sequence[Look]) -> Record:
    """The record of a case that failed, or whose worker died."""
    head = _head(case, key, outcome, inputs)
    return {**head, "error": outcome.error, "kind": outcome.kind, "exit_code": outcome.exit_code}


def _head(case: Case, key: JobKey, outcome: Outcome, inputs: Sequence[Look]) -> Record:
    return {
        "format": FORMAT,
        "gpu_infer": __version__,
        "id": case.id,
        "status": outcome.status,
        "attempts": outcome.attempts,
        "seconds": outcome.seconds,
        **key._asdict(),
        "series": series_digest(case),
        "inputs": list(inputs),
        "read": [],
        "bytes": 0,
        "sha256": None,
    }


def series_digest(case: Case) -> str | None:
    """A digest of the series' UID, which identifies a study and with it a patient."""
    return None if case.series is None else hashlib.sha256(case.series.encode()).hexdigest()


def outcome_of(record: Record) -> Outcome:
    """The outcome that a record describes, of an earlier batch."""
    report = {"model": record.get("model", {}), "versions": {"gpu_infer": record.get("gpu_infer")}}
    names = ("id", "status", "error", "exit_code", "kind", "seconds", "labels", "attempts")
    return Outcome(**{name: record[name] for name in names if name in record}, report=report, skipped=True)


def write_record(folder: Path, record: Record) -> None:
    """Write case.json whole or not at all. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    replace_text(folder / FILE, json.dumps(record, indent=1) + "\n")


def read_record(folder: Path) -> Record | None:
    """The record in a case's folder; None if there is none, or it is damaged. Raises ConfigError for another's file."""
    text = b""
    try:
        text = (folder / FILE).read_bytes()
        content = json.loads(text)
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError):
        content = None
    except OSError as error:
        raise ConfigError(
            f"{folder / FILE}: cannot be read: {error.strerror}", remedy="let this user read the output folder"
        ) from None
    if content is None and (not text.strip(b"\0") or text.startswith(_HEAD) or _HEAD.startswith(text)):
        return None  # a file system lost its content, or the end of it, in a power failure
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ConfigError(
            f"{folder / FILE}: found a file of another program or version, expected the state of a case",
            remedy="move it away, or give another output folder",
        )
    return content


def _own_record(folder: Path) -> Record | None:
    try:
        return read_record(folder)
    except ConfigError:
        return None
