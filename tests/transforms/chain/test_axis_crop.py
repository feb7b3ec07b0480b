"""Which labels any score decides, axis by axis."""

from __future__ import annotations

from gpu_infer.backends.resampling import linear_table
from gpu_infer.transforms.chain.axis_crop import crop_axis, restore_steps
from gpu_infer.transforms.field import Resampled, Windowed


def test_a_crop_has_two_entries_if_the_axis_has_more() -> None:
    """One alone would be interpolated in another order. Entry o reads 14 samples at 2.6·o; one is in the window."""
    crop = crop_axis(linear_table(14, 6), offset=6, low=6, high=7)
    assert crop is not None
    assert crop.entries == slice(1, 3)  # t = 2.6 and 5.2
    assert crop.samples == slice(0, 1)
    assert (crop.zeros, crop.extent) == ((4, 0), 5)  # samples 2 … 6
    assert (crop.table.lower.tolist(), crop.table.upper.tolist()) == ([0, 3], [1, 4])
    assert crop_axis(linear_table(14, 6), offset=20, low=20, high=21) is None
    whole = crop_axis(linear_table(14, 1), offset=0, low=0, high=14)
    assert whole is not None
    assert (whole.entries, whole.samples, whole.zeros) == (slice(0, 1), slice(0, 1), (0, 0))


def test_steps_are_ordered_around_the_last_resampling() -> None:
    history = (
        Windowed((20, 20, 20), (1, 1, 1)),
        Resampled((18, 18, 18)),
        Windowed((9, 9, 9), (2, 2, 2)),
        Resampled((5, 5, 5), align_corners=False),
    )
    steps = restore_steps(history, (7, 7, 7))
    assert steps.first == [history[3]]
    assert steps.windows == [history[2]]
    assert steps.last == [history[0]]
    assert steps.shape == (18, 18, 18)
    assert all(table.upper.max() == 8 for table in steps.tables)  # they read the grid that the window was taken from


def test_without_resampling_the_tables_are_the_identity() -> None:
    window = Windowed((9, 9, 9), (2, 2, 2))
    steps = restore_steps((window,), (4, 5, 6))
    assert (steps.first, steps.windows, steps.last, steps.shape) == ([], [], [window], (4, 5, 6))
    assert all(table.is_gather for table in steps.tables)
