"""The lines at the end of a run that say which labels it found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpu_infer.errors import escape

MOST_LABELS = 12
"""Labels with a line of their own; one more line counts the others."""

_WIDTH = 8


def label_lines(report: Mapping[str, Any]) -> list[str]:
    """A line per label above 0 of every label map: its name and its volume in ml, in index space its voxels.

    `report` is the content of report.json. A label without a name is `label 3`. With several label maps, the field
    stands before the name.
    """
    outputs = report.get("outputs", [])
    rows: list[tuple[str, str]] = []
    for output in outputs:
        field = f"{output['field']}: " if len(outputs) > 1 else ""
        entries = {label: entry for label, entry in output["labels"].items() if int(label) > 0}
        rows += [
            (escape(f"{field}{entry.get('name') or f'label {label}'}"), _size(entry))
            for label, entry in entries.items()
        ]
        if not entries:
            rows.append((escape(f"{field}labels"), "none found: every voxel is 0"))
    more = len(rows) - MOST_LABELS
    rows = rows[:MOST_LABELS]
    width = max([_WIDTH, *(len(name) for name, _ in rows)])
    lines = [f"{name:<{width}} {text}" for name, text in rows]
    return [*lines, f"… and {more} more"] if more > 0 else lines


def _size(entry: Mapping[str, Any]) -> str:
    return f"{entry['voxels']} voxels" if entry["ml"] is None else f"{format_ml(entry['ml'])} ml"


def format_ml(ml: float) -> str:
    """Whole ml, or below 10 ml as the report has it: to 0.001."""
    if ml >= 10:
        return f"{ml:.0f}"
    return f"{ml:g}" if ml >= 0.001 else "less than 0.001"
