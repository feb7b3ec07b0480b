"""The three forms of a result: a table on the terminal, JSON and a bar chart in bench/results."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.support.machine import facts

RESULTS = Path(__file__).parents[1] / "results"
_CONSOLE = Console() if Console().is_terminal else Console(width=140)
_TABLES = _CONSOLE if _CONSOLE.is_terminal else Console(width=260)  # in a file long lines do no harm


def say(text: str) -> None:
    """Print a line without a table."""
    _CONSOLE.print(text, highlight=False)


@dataclass
class Chart:
    """Bars: one group per key of `groups`, in it one bar per side; `unit` is the label of the axis."""

    groups: Mapping[str, Mapping[str, float]]
    unit: str
    logarithmic: bool = True


@dataclass
class Result:
    """`name` is the files' stem; `data` goes into the JSON unchanged, next to the rows."""

    name: str
    title: str
    columns: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    chart: Chart | None = None

    def publish(self, folder: Path = RESULTS) -> None:
        """Print the table; write <name>.json, and <name>.png if matplotlib is installed."""
        table = Table(title=self.title, title_justify="left")
        for n, column in enumerate(self.columns):
            table.add_column(column, justify="left" if n == 0 else "right")
        for row in self.rows:
            table.add_row(*row)
        _TABLES.print(table)
        for note in self.notes:
            say(note)
        folder.mkdir(parents=True, exist_ok=True)
        rows = [dict(zip(self.columns, row, strict=True)) for row in self.rows]
        content = {"title": self.title, "machine": facts(), "table": rows, "notes": self.notes, **self.data}
        path = folder / f"{self.name}.json"
        path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        if self.chart is not None:
            _draw(self.title, self.chart, path.with_suffix(".png"))


def _draw(title: str, chart: Chart, path: Path) -> None:
    try:
        import matplotlib as mpl
    except ImportError:
        say(f"{path.name} left out: matplotlib is not installed (the extra 'bench')")
        return
    mpl.use("Agg")
    from matplotlib import pyplot

    sides = list(dict.fromkeys(side for bars in chart.groups.values() for side in bars))
    bars = sum(len(group) for group in chart.groups.values())
    figure, axes = pyplot.subplots(figsize=(9, 1.4 + 0.26 * (bars + len(chart.groups))), layout="constrained")
    colours = dict(zip(sides, mpl.colormaps["tab20"].colors * (1 + len(sides) // 20), strict=False))
    row, ticks = 0, []
    for values in chart.groups.values():
        ticks.append(row + (len(values) - 1) / 2)
        for side, value in values.items():
            drawn = axes.barh(row, value, 0.9, color=colours[side])
            axes.bar_label(
                drawn, [f"{side}  {value:.0f}" if value >= 1000 else f"{side}  {value:.3g}"], padding=3, fontsize=7
            )
            row += 1
        row += 1
    axes.set_yticks(ticks, list(chart.groups))
    axes.invert_yaxis()
    if chart.logarithmic:
        axes.set_xscale("log")
        low, high = axes.get_xlim()
        axes.set_xlim(low, high * (high / low) ** 0.5)  # room for the labels
    else:
        axes.set_xlim(0, axes.get_xlim()[1] * 1.25)
    axes.set_xlabel(chart.unit)
    axes.set_title(title, fontsize=9, loc="left")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def seconds(value: float) -> str:
    """1.23 s or 45.6 ms."""
    return f"{value:.2f} s" if value >= 1 else f"{value * 1e3:.1f} ms"


def mebibytes(value: float) -> str:
    """Bytes as MiB."""
    return f"{value / 2**20:.0f} MiB"


def times(peer: float, ours: float) -> str:
    """`peer` as a multiple of `ours`."""
    return f"{peer / ours:.1f}×"
