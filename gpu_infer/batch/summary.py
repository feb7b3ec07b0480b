"""status.csv and summary.json: what became of all cases, also of those that earlier batches or other parts ran."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from gpu_infer._version import __version__
from gpu_infer.batch.case import Case
from gpu_infer.batch.job import BatchJob
from gpu_infer.batch.job_key import JobKey
from gpu_infer.batch.outcome import Outcome
from gpu_infer.batch.state import decide, outcome_of
from gpu_infer.errors import ConfigError
from gpu_infer.system.atomic_file import replace_text

STATUS_FILE, SUMMARY_FILE = "status.csv", "summary.json"
_COLUMNS = ("id", "status", "kind", "exit_code", "seconds", "attempts", "error")
_OPEN = "open"
"""Status of a case that has not ended yet."""

Summary = dict[str, Any]


def all_outcomes(
    job: BatchJob, cases: Sequence[Case], known: Mapping[str, Outcome], key: JobKey
) -> list[Outcome | None]:
    """The outcomes of all cases: `known` by identifier, else from their folders.

    None: not ended, or ended with another input, configuration or option than those of this batch.
    """
    return [known[case.id] if case.id in known else _from_folder(job, case, key) for case in cases]


def _from_folder(job: BatchJob, case: Case, key: JobKey) -> Outcome | None:
    record = decide(job, case, key).record
    return None if record is None else outcome_of(record)


def make_summary(cases: Sequence[Case], outcomes: Sequence[Outcome | None], seconds: float, config: str) -> Summary:
    """The content of summary.json (docs/many-volumes.md).

    Args:
        cases, outcomes: of all parts.
        seconds: that this batch took.
        config: path of the configuration.
    """
    ended = [outcome for outcome in outcomes if outcome is not None]
    done = [outcome for outcome in ended if outcome.status == "done"]
    ran = [outcome for outcome in ended if not outcome.skipped]
    counts = Counter(outcome.status for outcome in ended)
    models = sorted({_model(outcome) for outcome in done})
    versions = sorted({str(outcome.report.get("versions", {}).get("gpu_infer")) for outcome in done})
    return {
        "gpu_infer": __version__,
        "config": config,
        "cases": {
            "all": len(cases),
            **{status: counts[status] for status in ("done", "failed", "crashed")},
            _OPEN: len(cases) - len(ended),
        },
        "this_batch": {
            "cases": len(ran),
            "skipped": len(ended) - len(ran),
            "seconds": round(seconds, 1),
            "cases_per_hour": round(len(ran) / seconds * 3600, 1) if ran and seconds > 0 else None,
        },
        "failures": dict(sorted(Counter(outcome.kind for outcome in ended if outcome.kind).items())),
        "seconds_per_case": _statistics([outcome.seconds for outcome in done]),
        "labels": _labels(done),
        "models": models,
        "versions": versions,
        "warnings": _warnings(models, versions),
    }


def check_summary_places(job: BatchJob) -> None:
    """Raise ConfigError if a file of another program would be replaced."""
    for name, mark in ((STATUS_FILE, ",".join(_COLUMNS)), (SUMMARY_FILE, '{\n  "gpu_infer": ')):
        path = job.output / name
        try:
            with path.open("rb") as stream:
                begin = stream.read(len(mark))
        except FileNotFoundError:
            continue
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read: {error.strerror}", remedy="let this user read it") from None
        if begin.strip(b"\0") and begin != mark.encode():
            raise ConfigError(
                f"{path}: found a file of another program, expected {name} of a batch",
                remedy="move it away, or give another output folder",
            )


def write_summary(job: BatchJob, cases: Sequence[Case], outcomes: Sequence[Outcome | None], summary: Summary) -> None:
    """Write both files, each whole or not at all. Raises OSError."""
    replace_text(job.output / STATUS_FILE, status_csv(cases, outcomes))
    replace_text(job.output / SUMMARY_FILE, json.dumps(summary, indent=2) + "\n")


def status_csv(cases: Sequence[Case], outcomes: Sequence[Outcome | None]) -> str:
    """One line per case; the volumes in ml of all labels that occur, 0 for one that does not occur in a done case."""
    done = [outcome for outcome in outcomes if outcome is not None and outcome.status == "done"]
    names = label_names(done)
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*_COLUMNS, *(f"{name} ml" for name in names.values())])
    for case, outcome in zip(cases, outcomes, strict=True):
        if outcome is None:
            writer.writerow([case.id, _OPEN, *[""] * (len(_COLUMNS) - 2 + len(names))])
            continue
        cells = [getattr(outcome, column) for column in _COLUMNS]
        is_done = outcome.status == "done"
        volumes = [_ml(outcome, label) if is_done else "" for label in names]
        writer.writerow(["" if cell is None else cell for cell in (*cells, *volumes)])
    return stream.getvalue()


def label_names(outcomes: Sequence[Outcome]) -> dict[str, str]:
    """Names of the labels that occur, by number and in its order; the background is none of them."""
    names: dict[str, str] = {}
    for outcome in outcomes:
        for label, section in outcome.labels.items():
            if label != "0":
                names.setdefault(label, section.get("name", f"label {label}"))
    return dict(sorted(names.items(), key=lambda item: int(item[0])))


def _labels(done: Sequence[Outcome]) -> dict[str, Any]:
    return {
        label: {
            "name": name,
            "cases": sum(label in outcome.labels for outcome in done),
            "ml": _statistics([ml for outcome in done if (ml := _ml(outcome, label)) is not None]),
        }
        for label, name in label_names(done).items()
    }


def _ml(outcome: Outcome, label: str) -> float | None:
    """0 for a label that does not occur; None in index space, whose voxels have no volume."""
    ml = outcome.labels.get(label, {}).get("ml", 0.0)
    return None if ml is None or any(each.get("ml") is None for each in outcome.labels.values()) else float(ml)


def _statistics(values: Sequence[float]) -> dict[str, float] | None:
    if not values:
        return None
    return {"mean": round(fmean(values), 3), "min": min(values), "max": max(values)}


def _model(outcome: Outcome) -> str:
    model = outcome.report.get("model", {})
    models = model.get("models") or [model]
    return " + ".join(f"{each.get('name')} version {each.get('version')}" for each in models)


def _warnings(models: Sequence[str], versions: Sequence[str]) -> list[str]:
    several = {"models": models, "versions of gpu_infer": versions}
    return [
        f"cases were segmented with several {what}: {', '.join(names)} (--force runs all with one)"
        for what, names in several.items()
        if len(names) > 1
    ]
