"""The text of a preview: letters of directions, the title, captions of planes, and the legend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gpu_infer.label_table.palette import Rgb
from gpu_infer.writers.raster import Pixels

GAP = 12
"""Pixels between the parts of a page."""

TITLE_ROWS = 34
CAPTION_ROWS = 24
BACKGROUND = 14
MOST_ENTRIES = 150
"""Entries of a legend; of more labels the largest are listed, and the last entry is the sum of the others."""

_MARGIN = 12  # from the panel's edge to a letter's centre
_ROW = 20  # of the legend
_COLUMN = 230  # least width of a column of the legend
_SWATCH = 12
_LETTER, _RIM, _TEXT = (225, 225, 225), (0, 0, 0), (215, 215, 215)
_LARGE, _SMALL = 18, 14


@dataclass(frozen=True)
class LegendEntry:
    """A label in the legend; the sum of several labels has no colour."""

    name: str
    colour: Rgb | None
    ml: float


def draw_letters(panel: Pixels, letters: str) -> Pixels:
    """A copy of `panel` with the letters of its left, right, top and bottom, each with a dark rim.

    A panel of less than 30 pixels in one direction gets none.
    """
    rows, columns, _ = panel.shape
    if min(rows, columns) < 30:
        return panel
    image = Image.fromarray(panel)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(_LARGE)
    middle_row, middle_column = rows // 2, columns // 2
    places = ((_MARGIN, middle_row), (columns - _MARGIN, middle_row), (middle_column, _MARGIN),
              (middle_column, rows - _MARGIN))  # fmt: skip
    for letter, place in zip(letters, places, strict=True):
        draw.text(place, letter, _LETTER, font, "mm", stroke_width=1, stroke_fill=_RIM)
    return np.asarray(image)


def draw_title(width: int, text: str) -> Pixels:
    """[TITLE_ROWS, width, 3] with `text`, cut to the width."""
    return _line(width, TITLE_ROWS, text, _LARGE, GAP)


def draw_caption(width: int, text: str) -> Pixels:
    """[CAPTION_ROWS, width, 3] with `text`, cut to the width."""
    return _line(width, CAPTION_ROWS, text, _SMALL, 0)


def draw_legend(width: int, entries: Sequence[LegendEntry]) -> Pixels:
    """[rows, width, 3]: colour, name and volume of every entry, in as many columns as fit, filled downwards.

    No entries make a picture without rows.
    """
    if not entries:
        return np.zeros((0, width, 3), np.uint8)
    columns = max((width - GAP) // _COLUMN, 1)
    rows = -(-len(entries) // columns)
    image = Image.new("RGB", (width, rows * _ROW + GAP), (BACKGROUND,) * 3)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(_SMALL)
    step = (width - GAP) // columns
    for number, entry in enumerate(entries):
        left, middle = GAP + number // rows * step, number % rows * _ROW + _ROW // 2
        if entry.colour is not None:
            draw.rectangle((left, middle - _SWATCH // 2, left + _SWATCH, middle + _SWATCH // 2), entry.colour)
        volume = f"{entry.ml:,.0f} ml" if entry.ml >= 100 else f"{entry.ml:.3g} ml"
        right = left + step - GAP
        draw.text((right, middle), volume, _TEXT, font, "rm")
        start = left + _SWATCH + 6
        name = _cut(entry.name, right - int(font.getlength(volume)) - 8 - start, font)
        draw.text((start, middle), name, _TEXT, font, "lm")
    return np.asarray(image)


def legend_entries(entries: Sequence[LegendEntry]) -> list[LegendEntry]:
    """The entries themselves if there are at most MOST_ENTRIES, else the largest in their order, and a sum."""
    if len(entries) <= MOST_ENTRIES:
        return list(entries)
    by_size = sorted(range(len(entries)), key=lambda n: entries[n].ml, reverse=True)
    listed = sorted(by_size[: MOST_ENTRIES - 1])
    others = by_size[MOST_ENTRIES - 1 :]
    total = sum(entries[n].ml for n in others)
    return [*(entries[n] for n in listed), LegendEntry(f"{len(others)} smaller labels", None, total)]


def _line(width: int, rows: int, text: str, size: int, left: int) -> Pixels:
    image = Image.new("RGB", (width, rows), (BACKGROUND,) * 3)
    font = ImageFont.load_default(size)
    ImageDraw.Draw(image).text((left, rows // 2), _cut(text, width - 2 * left, font), _TEXT, font, "lm")
    return np.asarray(image)


def _cut(text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """`text`, or as much of it as fits into `width` pixels with an ellipsis; only printable characters."""
    text = "".join(character if character.isprintable() else "?" for character in text)
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"
