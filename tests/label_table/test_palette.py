"""The palette of labels."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from skimage.color import rgb2lab

from gpu_infer.label_table.palette import PALETTE, palette_colour

LAB = rgb2lab(np.array(PALETTE, np.uint8)[None])[0]


def test_256_different_colours() -> None:
    assert len(PALETTE) == len(set(PALETTE)) == 256


def test_neighbouring_numbers_have_colours_that_differ_clearly() -> None:
    """A difference of 2.3 in CIELAB is just noticeable."""
    near = [np.linalg.norm(LAB[n] - LAB[m]) for n, m in combinations(range(256), 2) if m - n <= 6]
    assert min(near) > 25


def test_all_colours_differ_and_stand_out_from_grey() -> None:
    assert min(np.linalg.norm(LAB[n] - LAB[m]) for n, m in combinations(range(256), 2)) > 10
    assert np.hypot(LAB[:, 1], LAB[:, 2]).min() > 25
    assert LAB[:, 0].min() > 40


def test_the_background_is_black_and_colours_repeat_after_256() -> None:
    assert palette_colour(0) == (0, 0, 0)
    assert palette_colour(1) == palette_colour(257) == PALETTE[0]
    assert palette_colour(256) == PALETTE[255]
