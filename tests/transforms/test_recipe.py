"""The arguments that members of a fused pass add up to."""

from __future__ import annotations

import numpy as np

from gpu_infer.backends.resampling import linear_table
from gpu_infer.backends.tables import ClampedAffine
from gpu_infer.transforms.recipe import Recipe

HALF, MINUS_ONE = ClampedAffine(0.5), ClampedAffine(shift=-1.0)


def test_functions_fold_before_and_after_the_resampling() -> None:
    recipe = Recipe()
    recipe.apply(HALF)
    recipe.apply(MINUS_ONE)
    recipe.resampled = True
    recipe.apply(MINUS_ONE)
    recipe.apply(HALF)
    assert (recipe.before.scale, recipe.before.shift) == (0.5, -1.0)
    assert (recipe.after.scale, recipe.after.shift) == (0.5, -0.5)


def test_crops_before_a_resampling_are_one_window() -> None:
    recipe = Recipe()
    recipe.crop((2, 0, 1), (6, 5, 4))
    recipe.crop((1, 1, 0), (3, 3, 3))
    assert recipe.window == (slice(3, 6), slice(1, 4), slice(1, 4))
    assert recipe.tables is None
    assert recipe.is_view


def test_crops_after_a_resampling_take_entries_of_its_tables() -> None:
    recipe = Recipe()
    tables = (linear_table(5, 9), linear_table(4, 8), linear_table(3, 6))
    recipe.tables, recipe.resampled = tables, True
    recipe.crop((2, 0, 1), (4, 8, 3))
    assert recipe.window is None
    assert recipe.tables is not None
    for cropped, table, box in zip(recipe.tables, tables, np.s_[2:6, 0:8, 1:4], strict=True):
        np.testing.assert_array_equal(cropped.lower, table.lower[box])
        np.testing.assert_array_equal(cropped.upper, table.upper[box])
        np.testing.assert_array_equal(cropped.weight, table.weight[box])


def test_what_makes_a_new_array() -> None:
    assert Recipe().is_view
    assert not Recipe(writes=True).is_view
    assert not Recipe(before=HALF).is_view
    assert not Recipe(after=MINUS_ONE).is_view
    assert not Recipe(tables=(linear_table(5, 9),) * 3).is_view
