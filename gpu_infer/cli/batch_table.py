"""What `gpu-infer batch` prints at its end: failures first, then the totals, in about 20 lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gpu_infer.batch.outcome import Outcome
from gpu_infer.batch.run_batch import BatchResult
from gpu_infer.cli.batch_progress import per_hour
from gpu_infer.cli.label_lines import format_ml

_FAILURES = 8
_LABELS = 6
_WIDTH = 160


def result_lines(result: BatchResult, output: Path) -> list[str]:
    """The lines, for stdout."""
    failures = result.failures
    lines = [_failure_line(outcome) for outcome in failures[:_FAILURES]]
    if len(failures) > _FAILURES:
        lines.append(
            f"… and {len(failures) - _FAILURES} more failure{_s(len(failures) - _FAILURES)}: {output / 'status.csv'}"
        )
    cases = result.summary["cases"]
    counts = ", ".join(f"{cases[name]} {name}" for name in ("done", "failed", "crashed", "open") if cases[name])
    lines.append(f"cases    {counts or 'none'}, {cases['all']} in all")
    batch = result.summary["this_batch"]
    rate = f", {per_hour(batch['cases_per_hour'])} per hour" if batch["cases_per_hour"] else ""
    lines.append(f"batch    {batch['cases']} run in {batch['seconds']:g} s{rate}; {batch['skipped']} skipped")
    labels = list(result.summary["labels"].values())
    lines += [_label_line(label, cases["done"]) for label in labels[:_LABELS]]
    if len(labels) > _LABELS:
        lines.append(f"… and {len(labels) - _LABELS} more label{_s(len(labels) - _LABELS)}")
    return [*lines, f"status   {output / 'status.csv'}", f"summary  {output / 'summary.json'}"]


def _failure_line(outcome: Outcome) -> str:
    line = f"{outcome.status:<8} {outcome.id}: {outcome.error}"
    return line if len(line) <= _WIDTH else line[: _WIDTH - 1] + "…"


def _label_line(label: dict[str, Any], done: int) -> str:
    """Mean, least and most ml of all `done` cases, or one number if they look alike; those in index space have no ml.

    A case without the label has 0 ml.
    """
    cases = f"in {label['cases']} of {done} cases" if label["cases"] < done else f"in {done} case{_s(done)}"
    if label["ml"] is None:
        return f"label    {label['name']}: volume not known (index space), {cases}"
    mean, low, high = (_ml(label["ml"][name]) for name in ("mean", "min", "max"))
    volumes = f"{mean} ml" if low == high else f"{mean} ml on average, {low} to {high} ml"
    return f"label    {label['name']}: {volumes}, {cases}"


def _ml(ml: float) -> str:
    return format_ml(ml) if ml else "0"  # of a case without the label


def _s(count: int) -> str:
    return "" if count == 1 else "s"
