"""Tables of at most 100 columns: a wider one is split into parts, and cells wrap between words alone."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

from rich.table import Table

WIDTH = 100
_FRAME = 3  # a space on both sides and a line for each column; one line more for the table
_HARD_SPACE = "\N{NO-BREAK SPACE}"
_UNIT = re.compile(r"(?<=\d) (?=(s|ms|µs|mm|MiB|GiB|MB|GB/s)\b)")


def render(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], keys: int = 1) -> list[Table]:
    """The table in parts, each with the first `keys` columns; a number and its unit are one word."""
    cells = [[_UNIT.sub(_HARD_SPACE, cell) for cell in column] for column in zip(columns, *rows, strict=True)]
    narrowest = [max(len(word) for cell in column for word in cell.split(" ")) for column in cells]
    natural = [max(map(len, column)) for column in cells]
    parts = _split(narrowest, keys)
    tables = []
    for n, part in enumerate(parts):
        numbers = (*range(keys), *part)
        widths = _widths([narrowest[c] for c in numbers], [natural[c] for c in numbers])
        table = Table(
            title=title if len(parts) == 1 else f"{title} ({n + 1} of {len(parts)})",
            title_justify="left",
        )
        wrapped = [[_wrap(cell, width) for cell in cells[c]] for c, width in zip(numbers, widths, strict=True)]
        for c, width, column in zip(numbers, widths, wrapped, strict=True):
            table.add_column(column[0], justify="left" if c < keys else "right", width=width, no_wrap=True)
        for row in zip(*(column[1:] for column in wrapped), strict=True):
            table.add_row(*row)
        tables.append(table)
    return tables


def _split(narrowest: Sequence[int], keys: int) -> list[list[int]]:
    """Columns after the keys, as many in each part as fit."""
    begin = 1 + sum(width + _FRAME for width in narrowest[:keys])
    parts: list[list[int]] = [[]]
    used = begin
    for column in range(keys, len(narrowest)):
        width = narrowest[column] + _FRAME
        if parts[-1] and used + width > WIDTH:
            parts.append([])
            used = begin
        parts[-1].append(column)
        used += width
    return parts


def _widths(narrowest: Sequence[int], natural: Sequence[int]) -> list[int]:
    """Widths between the two, whose sum fits: the column that lacks most is widened first."""
    widths = list(narrowest)
    for _ in range(WIDTH - 1 - sum(width + _FRAME for width in widths)):
        lacks = [wanted - width for wanted, width in zip(natural, widths, strict=True)]
        if max(lacks) <= 0:
            break
        widths[lacks.index(max(lacks))] += 1
    return widths


def _wrap(cell: str, width: int) -> str:
    lines = textwrap.wrap(cell, width, break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines).replace(_HARD_SPACE, " ")
