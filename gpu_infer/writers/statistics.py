"""<name>.statistics.csv: one row per label, as RFC 4180 has it (commas, CRLF, UTF-8)."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from gpu_infer.writers.atomic import check_space, open_stage, publish
from gpu_infer.writers.names import label_map_names
from gpu_infer.writers.places import Place, check_places

COLUMNS = (
    *("label", "name", "voxels", "ml", "not_finite", "mean", "std", "median", "min", "max"),
    *("box_begin_i", "box_begin_j", "box_begin_k", "box_end_i", "box_end_j", "box_end_k"),
    *("centroid_r_mm", "centroid_a_mm", "centroid_s_mm", "touches_border"),
)

_HEADER = (",".join(COLUMNS) + "\r\n").encode("ascii")

_FORMULA = ("=", "+", "-", "@")
"""A cell that begins so is a formula to a spreadsheet, which may run programs or send other cells away."""

Row = Mapping[str, Any]
"""One label: a value by column; None and a missing column are an empty cell."""


def statistics_places(folder: Path, base: str, fields: Sequence[str]) -> list[Place]:
    """Places of the tables of `fields` in the output folder."""
    paths = [folder / name for name in _file_names(base, fields).values()]
    return [Place(path, "the statistics of an older run", "output", is_statistics) for path in paths]


def write_statistics(tables: Mapping[str, Sequence[Row]], folder: Path, base: str) -> dict[str, Path]:
    """Write the tables, all or none, and return their paths by field.

    Args:
        tables: rows by field of the configuration.
        folder: exists.
        base: file name of the input without extension.

    Raises:
        ConfigError: a file of another program is in a place, or the folder cannot be written.
        ResourceError: the disk is full.
    """
    names, places = _file_names(base, list(tables)), statistics_places(folder, base, list(tables))
    texts = {field: format_table(rows) for field, rows in tables.items()}
    check_space(folder, sum(map(len, texts.values())))
    with open_stage(folder, base) as stage:
        for field, text in texts.items():
            (stage / names[field]).write_bytes(text)
        publish(stage, list(names.values()), folder, check=partial(check_places, places))
    return {field: folder / name for field, name in names.items()}


def format_table(rows: Sequence[Row]) -> bytes:
    """The content of a table: the header line and one line per row."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    for row in rows:
        writer.writerow([_cell(row.get(column)) for column in COLUMNS])
    return _HEADER + text.getvalue().encode("utf-8", errors="replace")


def is_statistics(path: Path) -> bool:
    """Whether `path` begins with the header line of our tables."""
    with path.open("rb") as file:
        return file.read(len(_HEADER)) == _HEADER


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"'{value}" if value.lstrip().startswith(_FORMULA) else value
    return repr(value)


def _file_names(base: str, fields: Sequence[str]) -> dict[str, str]:
    return {field: f"{name}.statistics.csv" for field, name in label_map_names(base, list(fields)).items()}
