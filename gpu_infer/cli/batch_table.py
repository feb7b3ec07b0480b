"""What `gpu-infer batch` prints at its end: failures first, then the totals, in about 20 lines."""

from __future__ import annotations

from pathlib import Path

from gpu_infer.batch.outcome import Outcome
from gpu_infer.batch.run_batch import BatchResult
from gpu_infer.cli.batch_progress import per_hour

_FAILURES = 8
_LABELS = 6
_WIDTH = 160


def result_lines(result: BatchResult, output: Path) -> list[str]:
    """The lines, for stdout."""
    failures = result.failures
    lines = [_failure_line(outcome) for outcome in failures[:_FAILURES]]
    if len(failures) > _FAILURES:
        lines.append(f"… and {len(failures) - _FAILURES} more failures: {output / 'status.csv'}")
    cases = result.summary["cases"]
    counts = ", ".join(f"{cases[name]} {name}" for name in ("done", "failed", "crashed", "open") if cases[name])
    lines.append(f"cases    {counts or 'none'}, {cases['all']} in all")
    batch = result.summary["this_batch"]
    rate = f", {per_hour(batch['cases_per_hour'])} per hour" if batch["cases_per_hour"] else ""
    lines.append(f"batch    {batch['cases']} run in {batch['seconds']:g} s{rate}; {batch['skipped']} skipped")
    labels = list(result.summary["labels"].values())
    lines += [_label_line(label) for label in labels[:_LABELS]]
    if len(labels) > _LABELS:
        lines.append(f"… and {len(labels) - _LABELS} more labels")
    return [*lines, f"status   {output / 'status.csv'}", f"summary  {output / 'summary.json'}"]


def _failure_line(outcome: Outcome) -> str:
    line = f"{outcome.status:<8} {outcome.id}: {outcome.error}"
    return line if len(line) <= _WIDTH else line[: _WIDTH - 1] + "…"


def _label_line(label: dict[str, object]) -> str:
    volumes = label["ml"]
    assert isinstance(volumes, dict)
    mean, low, high = (f"{volumes[name]:.4g}" for name in ("mean", "min", "max"))
    return f"label    {label['name']}: {mean} ml on average, {low} to {high} ml, in {label['cases']} cases"
