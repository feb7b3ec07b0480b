"""Bar charts of results: groups of bars with the ratio to one side of each group, units, and the machine's name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BASELINE = "gpu_infer"


@dataclass
class Chart:
    """Bars: one group per key of `groups`, in it one bar per side.

    unit      label of the axis
    baseline  side that the others of its group are compared with; a group without it is compared with its first side
    """

    groups: Mapping[str, Mapping[str, float]]
    unit: str
    logarithmic: bool = True
    baseline: str = BASELINE


def machine_name(machine: Mapping[str, Any]) -> str:
    """Processor, cores, memory and GPU in one line, from `facts` or the JSON of a result."""
    parts = [machine["cpu"], f"{machine['cores']} cores", f"{machine['memory_gib']} GiB", machine.get("gpu")]
    return ", ".join(part for part in parts if part) + f"; {machine['taken'][:10]}"


def bar_labels(group: Mapping[str, float], baseline: str) -> list[str]:
    """Side, value, and ratio to the baseline's value, for every bar."""
    reference = baseline_of(group, baseline)
    labels = []
    for side, value in group.items():
        number = f"{value:.0f}" if value >= 1000 else f"{value:.3g}"
        ratio = "" if reference is None or len(group) == 1 else f"  ({value / reference:.3g}×)"
        labels.append(f"{side}  {number}{ratio}")
    return labels


def baseline_of(group: Mapping[str, float], baseline: str) -> float | None:
    """The value that a group's bars are compared with; None if there is none, or if it is 0."""
    if not group:
        return None
    return group.get(baseline, next(iter(group.values()))) or None


def draw(title: str, chart: Chart, machine: Mapping[str, Any], path: Path) -> bool:
    """Write the chart to `path`; false if matplotlib is not installed."""
    try:
        import matplotlib as mpl
    except ImportError:
        return False
    mpl.use("Agg")
    from matplotlib import pyplot

    sides = list(dict.fromkeys(side for bars in chart.groups.values() for side in bars))
    bars = sum(len(group) for group in chart.groups.values())
    figure, axes = pyplot.subplots(figsize=(9, 1.7 + 0.26 * (bars + len(chart.groups))), layout="constrained")
    colours = dict(zip(sides, mpl.colormaps["tab20"].colors * (1 + len(sides) // 20), strict=False))
    row, ticks = 0, []
    for values in chart.groups.values():
        ticks.append(row + (len(values) - 1) / 2)
        reference = baseline_of(values, chart.baseline)
        if reference is not None and len(values) > 1:
            axes.vlines(reference, row - 0.5, row + len(values) - 0.5, colors="black", linestyles=":", linewidth=1)
        for (side, value), label in zip(values.items(), bar_labels(values, chart.baseline), strict=True):
            drawn = axes.barh(row, value, 0.9, color=colours[side])
            axes.bar_label(drawn, [label], padding=3, fontsize=7)
            row += 1
        row += 1
    axes.set_yticks(ticks, list(chart.groups))
    axes.invert_yaxis()
    if chart.logarithmic:
        axes.set_xscale("log")
        low, high = axes.get_xlim()
        axes.set_xlim(low, high * (high / low) ** 0.5)  # room for the labels
    else:
        axes.set_xlim(0, axes.get_xlim()[1] * 1.35)
    axes.set_xlabel(chart.unit)
    axes.set_title(title, fontsize=9, loc="left")
    figure.supxlabel(machine_name(machine), fontsize=7, x=0.99, ha="right")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
    return True
