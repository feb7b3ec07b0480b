"""Letters, lines and legend of a preview: places, colours, and text that does not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from gpu_infer.writers.page_text import (
    BACKGROUND,
    LegendEntry,
    draw_legend,
    draw_letters,
    draw_title,
    legend_entries,
)


def _ink(pixels: Any) -> Any:
    return (pixels != BACKGROUND).any(axis=2)


def test_letters_stand_at_the_edges_with_a_dark_rim() -> None:
    panel = np.full((100, 160, 3), 128, np.uint8)
    drawn = draw_letters(panel, "RLAP")
    assert (panel == 128).all()
    bright = drawn.min(axis=2) > 200
    near = np.zeros(bright.shape, bool)
    for row, column in ((50, 12), (50, 148), (12, 80), (88, 80)):
        box = bright[row - 10 : row + 10, column - 10 : column + 10]
        assert np.hypot(*(np.subtract(ndimage.center_of_mass(box), 9.5))) < 4
        near[row - 10 : row + 10, column - 10 : column + 10] = True
    assert not (bright & ~near).any()
    around = ndimage.binary_dilation(bright, iterations=2) & ~bright
    assert drawn[around].min() < 20
    assert not ((drawn != 128).any(axis=2) & ~near).any()


def test_the_letters_differ() -> None:
    panels = [draw_letters(np.full((60, 60, 3), 128, np.uint8), 4 * letter) for letter in "AILPRS"]
    assert len({panel.tobytes() for panel in panels}) == 6


@pytest.mark.parametrize("shape", [(10, 40), (40, 6), (1, 1)])
def test_a_small_panel_stays_without_letters(shape: tuple[int, int]) -> None:
    panel = np.full((*shape, 3), 128, np.uint8)
    assert (draw_letters(panel, "RLAP") == 128).all()


@pytest.mark.parametrize("text", ["", "a", "lung " * 100, "a\nb\0c\udcff", "肺", "ẞ" * 500])
@pytest.mark.parametrize("width", [480, 40, 1])
def test_a_title_of_any_text_fits(text: str, width: int) -> None:
    assert draw_title(width, text).shape == (34, width, 3)


def test_a_long_title_is_cut_before_the_edge() -> None:
    ink = _ink(draw_title(480, "W" * 300))
    assert not ink[:, :12].any()
    assert not ink[:, 468:].any()
    assert ink[:, 440:468].any()


def test_the_legend_has_a_swatch_per_label_in_columns() -> None:
    colours = [(200, 10 * n, 5) for n in range(1, 8)]
    entries = [LegendEntry(f"name {n}", colour, 10.0 * n) for n, colour in enumerate(colours)]
    picture = draw_legend(720, entries)  # three columns of 236 pixels, three rows
    assert picture.shape == (3 * 20 + 12, 720, 3)
    for number, colour in enumerate(colours):
        left, middle = 12 + number // 3 * 236, number % 3 * 20 + 10
        assert (picture[middle - 5 : middle + 6, left + 1 : left + 12] == colour).all()
        assert _ink(picture[middle - 8 : middle + 8, left + 20 : left + 220]).any()


def test_a_long_name_does_not_reach_into_the_volume() -> None:
    def volume_pixels(name: str) -> Any:
        return draw_legend(480, [LegendEntry(name, (1, 2, 3), 1234.5)])[:, 150:224]

    assert (volume_pixels("W" * 64)[:, 24:] == volume_pixels("a")[:, 24:]).all()


def test_no_labels_make_no_legend() -> None:
    assert draw_legend(480, []).shape == (0, 480, 3)


def test_of_many_labels_the_largest_are_listed_and_the_others_summed() -> None:
    entries = [LegendEntry(str(n), (n % 256, 0, 0), float(n)) for n in range(1, 201)]
    assert legend_entries(entries[:150]) == entries[:150]
    listed = legend_entries(entries)
    assert listed[:149] == entries[51:]
    assert listed[149] == LegendEntry("51 smaller labels", None, sum(range(1, 52)))
