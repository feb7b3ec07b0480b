"""What a page says about a case, as JSON for its script."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_infer.label_table.table import BACKGROUND, Label, LabelTable
from gpu_infer.volume.geometry import Geometry, Shape3
from gpu_infer.writers.page.document import CASE, END_ELEMENT, begin_element
from gpu_infer.writers.page.windows import Values, Window


@dataclass(frozen=True)
class Row:
    """A row of the legend: a label that occurs, with the numbers of the report.

    number  of the label in the label map
    index   of the label in the voxels that are shown: they number the labels that occur
    voxels  of the file's grid
    """

    number: int
    index: int
    name: str
    colour: tuple[int, int, int]
    voxels: int
    ml: float


@dataclass(frozen=True)
class Legend:
    """The labels of one label map that occur, the background excluded.

    name   of the label map
    rows   by number
    """

    name: str
    rows: list[Row]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the voxels that are shown."""
        return np.dtype(np.uint8 if len(self.rows) < 256 else np.uint16)

    def indices(self, largest: int) -> NDArray[Any]:
        """Return the table [largest + 1] from numbers of labels to indices."""
        table = np.zeros(largest + 1, self.dtype)
        for row in self.rows:
            table[row.number] = row.index
        return table


def make_legend(name: str, labels: Mapping[str, Mapping[str, Any]], table: LabelTable) -> Legend:
    """Make the legend of a label map from the report's section `outputs[].labels` and the table of names."""
    numbers = sorted(int(key) for key in labels if int(key) != BACKGROUND)
    rows = []
    for index, number in enumerate(numbers, start=1):
        label, counted = table[number], labels[str(number)]
        rows.append(Row(number, index, label.name, label.colour, counted["voxels"], counted["ml"]))
    return Legend(name, rows)


@dataclass(frozen=True)
class Case:
    """Everything on a page except the voxels.

    name      of the case
    geometry  of the file's grid
    block     voxels of the file per axis for each voxel that is shown
    values    of the volume
    windows   that are offered, the first one to begin with
    legends   one per label map
    shown     per label map: voxels of each index that are shown; empty if all are
    """

    name: str
    geometry: Geometry
    block: Shape3
    values: Values
    windows: Sequence[Window]
    legends: Sequence[Legend]
    shown: Sequence[Sequence[int]] = field(default=())

    def as_json(self) -> str:
        """Return the JSON; it contains no <, so that no name can end the element that holds it."""
        return json.dumps(self._content(), ensure_ascii=True).replace("<", "\\u003c")

    def _content(self) -> dict[str, Any]:
        maps = []
        for number, legend in enumerate(self.legends):
            counts = self.shown[number] if self.shown else None
            maps.append({"name": legend.name, "labels": [_row(row, counts) for row in legend.rows]})
        return {
            "name": self.name,
            "shape": list(self.geometry.shape),
            "spacing_mm": [float(mm) for mm in self.geometry.spacing],
            "block": list(self.block),
            "unit": "HU" if self.values.is_hu else "",
            "range": [self.values.low, self.values.high],
            "windows": [{"name": w.name, "low": w.low, "high": w.high} for w in self.windows],
            "maps": maps,
        }


def read_labels(page: Path, number: int) -> LabelTable:
    """Return names and colours of the label map `number` on a page that this module wrote; none if there is no page."""
    try:
        text = page.read_text(encoding="utf-8")
        content = text[text.rindex(begin_element(CASE, "application/json")) :].partition(">")[2]
        labels = json.loads(content.partition(END_ELEMENT)[0])["maps"][number]["labels"]
        rows = [(int(one["number"]), str(one["name"]), tuple(map(int, one["colour"]))) for one in labels]
        return LabelTable({number: Label(number, name, (r, g, b)) for number, name, (r, g, b) in rows})
    except (OSError, ValueError, LookupError, TypeError):
        return LabelTable()


def _row(row: Row, shown: Sequence[int] | None) -> dict[str, Any]:
    return {
        "number": row.number,
        "index": row.index,
        "name": row.name,
        "colour": list(row.colour),
        "voxels": row.voxels,
        "ml": row.ml,
        "shown": row.voxels if shown is None else int(shown[row.index]),
    }
