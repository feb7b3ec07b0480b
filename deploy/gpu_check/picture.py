"""The picture of a GPU check: a bar per step, as long as it took and coloured by its outcome."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

_COLOURS = {"passed": "#4c9f50", "failed": "#c8403a", "skipped": "#b0b0b0", "running": "#e0a030"}


def draw(steps: Mapping[str, Mapping[str, Any]], title: str, path: Path) -> str | None:
    """Write the PNG; the reason if there is none, else None.

    steps  outcome, seconds and `earlier` by step, as in the JSON
    """
    try:
        import matplotlib as mpl

        mpl.use("Agg")
        from matplotlib import patches, pyplot
    except ImportError as error:
        return f"{path.name} left out: matplotlib cannot be imported ({error})"
    figure, axes = pyplot.subplots(figsize=(9, 1.4 + 0.34 * len(steps)), layout="constrained")
    for row, step in enumerate(steps.values()):
        seconds, outcome = step.get("seconds", 0.0), step["outcome"]
        axes.barh(row, seconds, 0.8, color=_COLOURS[outcome], hatch="//" if step.get("earlier") else None)
        text = f" {outcome}, {seconds:.1f} s" + (" (earlier call)" if step.get("earlier") else "")
        axes.text(seconds, row, text, va="center", fontsize=8)
    axes.set_yticks(range(len(steps)), list(steps))
    axes.invert_yaxis()
    axes.set_xlim(0, 1.35 * max([1.0, *(step.get("seconds", 0.0) for step in steps.values())]))
    axes.set_xlabel("seconds")
    outcomes = dict.fromkeys(step["outcome"] for step in steps.values())
    handles = [patches.Patch(color=_COLOURS[outcome], label=outcome) for outcome in outcomes]
    axes.legend(handles=handles, fontsize=8, loc="lower right")
    axes.set_title(title, fontsize=9, loc="left")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
    return None
