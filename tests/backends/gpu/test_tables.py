"""How kernels with tiles are launched: spans, tables on the device, views that replace tables, tiles that fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gpu_infer.backends.gpu.pick import pick_walk
from gpu_infer.backends.gpu.tables import (
    PREPARE_TILES,
    RESTORE_ARGMAX_TILES,
    SHARED_BYTES,
    DeviceTables,
    copied_view,
    grid_size,
    interpolated_rows,
    interpolated_rows_and_columns,
    plan_walk,
    spans,
)
from gpu_infer.backends.resampling import identity_table, linear_table, nearest_table
from gpu_infer.backends.tables import AxisTable


class Uploaded:
    """An array as `DeviceTables` sees one of the device: its values, and an address."""

    def __init__(self, values: Any) -> None:
        self.values = values
        self.data = self
        self.ptr = 1000


def copies(*index: int) -> AxisTable:
    return AxisTable(np.array(index, np.int32), np.array(index, np.int32), np.zeros(len(index), np.float32))


def planned(factor: float, layout: Any, **options: Any) -> Any:
    """The walk from X fastest to Z fastest for 128 outputs of X and of Z."""
    n = round(128 * factor)
    source, out = np.zeros((1, n, 3, n), np.int16, order="F"), np.zeros((1, 128, 3, 128), np.float32)
    tables = (linear_table(n, 128, False), linear_table(3, 3), linear_table(n, 128, False))
    return plan_walk(source, out, tables, layout, DeviceTables(Uploaded), **options)


def test_a_span_reaches_from_the_least_to_the_greatest_input() -> None:
    actual = spans(copies(9, 4, 5, 6, 2), 2)
    assert (actual.first.tolist(), actual.count.tolist()) == ([4, 5, 2], [6, 2, 1])
    assert actual.widest == 6


def test_the_pointers_of_a_table_lead_to_its_parts() -> None:
    table, sent = linear_table(40, 70, False), []
    device = DeviceTables(lambda host: sent.append(host) or Uploaded(host))
    lower, upper, weight, rest, first, count = device.axis(table, 32)
    (host,) = sent

    def part(pointer: int, n: int, dtype: Any = np.int32) -> Any:
        at = (pointer - 1000) // 4
        return host[at : at + n].view(dtype)

    np.testing.assert_array_equal(part(lower, 70), table.lower)
    np.testing.assert_array_equal(part(upper, 70), table.upper)
    np.testing.assert_array_equal(part(weight, 70, np.float32), table.weight)
    np.testing.assert_array_equal(part(rest, 70, np.float32), np.float32(1) - table.weight)
    np.testing.assert_array_equal(part(first, 3), spans(table, 32).first)
    np.testing.assert_array_equal(part(count, 3), spans(table, 32).count)
    assert device.axis(table, 0) == (lower, upper, weight, rest, 0, 0)
    assert len(sent) == 1


def test_tables_that_copy_are_a_view() -> None:
    source = np.arange(2 * 5 * 6 * 7).reshape(2, 5, 6, 7)
    identity = (identity_table(5), identity_table(6), identity_table(7))
    assert copied_view(source, identity).base is source.base
    for tables, expected in (
        (identity, source),
        ((copies(1, 2, 3), copies(5, 4, 3, 2, 1, 0), copies(4)), source[:, 1:4, ::-1, 4:5]),
        ((copies(0), copies(1, 0), copies(6, 5, 4)), source[:, :1, 1::-1, 6:3:-1]),
    ):
        np.testing.assert_array_equal(copied_view(source, tables), expected)


@pytest.mark.parametrize(
    "table", [copies(0, 2, 4), copies(1, 1, 2), copies(0, 2, 1, 3), linear_table(5, 9), nearest_table(5, 4, False)]
)
def test_tables_that_skip_repeat_or_interpolate_are_none(table: AxisTable) -> None:
    source = np.zeros((1, 5, 5, 5))
    for axis in range(3):
        tables = [identity_table(5)] * 3
        tables[axis] = table
        assert copied_view(source, tuple(tables)) is None


@pytest.mark.parametrize(
    ("factor", "high", "tile"),
    [
        (0.3, 64, 64),
        (1.0, 64, 64),
        (1.1, 64, 64),
        (1.3, 32, 64),
        (1.8, 32, 64),
        (2.0, 32, 32),
        (3.3, 16, 16),
        (5.0, 16, 16),
        (9.0, 0, 0),
    ],
)
def test_the_greatest_tile_whose_planes_fit(factor: float, high: int, tile: int) -> None:
    walk = planned(factor, interpolated_rows, tiles=PREPARE_TILES)
    assert (walk.high, walk.tile) == (high, tile)
    assert walk.shared_bytes <= SHARED_BYTES
    assert walk.pitch % 2 == (1 if tile else 0)


@pytest.mark.parametrize(("factor", "tile"), [(0.7, 64), (1.7, 64), (2.4, 32), (3.2, 0)])
def test_the_tile_of_scores(factor: float, tile: int) -> None:
    walk = planned(factor, interpolated_rows_and_columns, tiles=RESTORE_ARGMAX_TILES, slices=4)
    assert (walk.high, walk.tile) == (32 if tile else 0, tile)
    assert grid_size(walk, (1, 6, 70, 65), 16, 32) == ({64: 2 * 3 * 2, 32: 2 * 3 * 3, 0: 6 * 5 * 3}[tile])


@pytest.mark.parametrize(("itemsize", "pitch"), [(1, 17), (2, 33), (4, 65), (8, 65)])
def test_a_row_of_copied_words_has_an_odd_number_of_banks(itemsize: int, pitch: int) -> None:
    """64 samples, and those of their first word that may lie before them."""
    source = np.zeros((1, 64, 5, 64), f"u{itemsize}")
    out = np.zeros((1, 64, 5, 64), f"u{itemsize}", order="F")
    table = identity_table(64)
    walk = pick_walk(source, out, (table, identity_table(5), table), DeviceTables(Uploaded))
    assert (walk.high, walk.tile, walk.pitch) == (64, 64, pitch)
    assert walk.shared_bytes == 64 * pitch * max(4, itemsize)


def test_one_fastest_axis_needs_no_tiles() -> None:
    array = np.zeros((1, 8, 8, 8), np.float32)
    tables = (linear_table(8, 8), linear_table(8, 8), linear_table(8, 8))
    assert plan_walk(array, array, tables, interpolated_rows, DeviceTables(Uploaded)).tile == 0
