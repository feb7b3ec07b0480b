"""The checks of `gpu-infer doctor` on a terminal: one line each by group, then every fault with its remedy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

    from gpu_infer.doctor.check import Check

WIDTH = 100
"""Columns at most; longer lines are hard to read."""

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


def show(checks: Sequence[Check], not_named: Sequence[str]) -> None:
    """Print the checks. `not_named` lists the options that would add checks."""
    from gpu_infer.cli.console import stdout

    console = stdout()
    width = min(WIDTH, console.width)
    for part in _parts(checks, not_named):
        console.print(part, width=width, soft_wrap=False)


def _parts(checks: Sequence[Check], not_named: Sequence[str]) -> list[RenderableType]:
    from rich.text import Text

    parts: list[RenderableType] = [_table(checks)]
    if not_named:
        parts.append(Text(f"not checked, because not given: {', '.join(not_named)}", style="dim"))
    faults = sorted((c for c in checks if c.status != "ok"), key=lambda c: c.status != "fail")
    if faults:
        parts += [Text(""), _faults(faults)]
    if all(check.status != "fail" for check in checks):
        parts.append(Text("no failure found", style="bold"))
    return parts


def _table(checks: Sequence[Check]) -> RenderableType:
    """One row per check; a fault is only named here, because its text follows below."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(3):
        table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    group = None
    for check in checks:
        heading = "" if check.group == group or check.group is None else check.group
        group = check.group
        finding = Text(check.found) if check.status == "ok" else Text("see below", style="dim")
        table.add_row(Text(heading, style="bold"), _status(check), Text(check.name), finding)
    return table


def _faults(checks: Sequence[Check]) -> RenderableType:
    """The text of each fault, and below it the remedy."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in checks:
        table.add_row(_status(check), Text(f"{check.name}: {check.found}"))
        if check.remedy:
            table.add_row("", Text(f"→ {check.remedy}"))
    return table


def _status(check: Check) -> Text:
    from rich.text import Text

    return Text(check.status, style=_COLOURS[check.status])
