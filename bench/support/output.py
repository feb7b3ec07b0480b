"""The forms of a result: a table on the terminal, and JSON and a bar chart in a folder of the caller's."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.support.chart import Chart as Chart
from bench.support.chart import draw
from bench.support.machine import facts
from bench.support.table import WIDTH, render

RESULTS = Path("bench_results")
"""Default folder of results, in the working directory; git ignores it."""
PUBLISHED = Path(__file__).parents[1] / "results"
"""The committed results, which only bench.publish writes."""
_CONSOLE = Console(width=WIDTH)


def say(text: str) -> None:
    """Print a line without a table."""
    _CONSOLE.print(text, highlight=False)


def add_results(parser: argparse.ArgumentParser) -> None:
    """The option --results."""
    parser.add_argument(
        "--results", type=Path, default=RESULTS, metavar="FOLDER", help=f"for JSON and chart; default: {RESULTS}"
    )


@dataclass
class Result:
    """`name` is the files' stem; `data` goes into the JSON unchanged, next to the rows.

    keys  first columns that name a row; a table that is too wide repeats them in every part
    """

    name: str
    title: str
    columns: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    chart: Chart | None = None
    keys: int = 1

    def publish(self, folder: Path = RESULTS) -> None:
        """Print the table; write <name>.json, and <name>.png if matplotlib is installed."""
        for part in render(self.title, self.columns, self.rows, self.keys):
            _CONSOLE.print(part)
        for note in self.notes:
            say(note)
        folder.mkdir(parents=True, exist_ok=True)
        rows = [dict(zip(self.columns, row, strict=True)) for row in self.rows]
        machine = facts()
        content = {"title": self.title, "machine": machine, "table": rows, "notes": self.notes, **self.data}
        path = folder / f"{self.name}.json"
        path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        if self.chart is not None and not draw(self.title, self.chart, machine, path.with_suffix(".png")):
            say(f"{self.name}.png left out: matplotlib is not installed (the extra 'bench')")


def seconds(value: float) -> str:
    """1.23 s or 45.6 ms."""
    return f"{value:.2f} s" if value >= 1 else f"{value * 1e3:.1f} ms"


def mebibytes(value: float) -> str:
    """Bytes as MiB."""
    return f"{value / 2**20:.0f} MiB"


def times(peer: float, ours: float) -> str:
    """`peer` as a multiple of `ours`."""
    return f"{peer / ours:.1f}×"
