from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from gpu_infer.backends.layout import axis_order, fastest_last, is_across, memory_order, reordered, steps


@pytest.mark.parametrize("axes", list(permutations(range(3))))
def test_the_last_axis_is_the_fastest_of_the_output(axes: tuple[int, int, int]) -> None:
    source = np.zeros((1, 4, 5, 6))
    out = np.zeros((1, *(3 + a for a in axes))).transpose(0, *(1 + axes.index(a) for a in range(3)))
    o, p, q = axis_order(source, out)
    assert sorted((o, p, q)) == [0, 1, 2]
    assert abs(out.strides[1 + q]) == min(abs(s) for s in out.strides[1:])
    assert abs(source.strides[1 + p]) < abs(source.strides[1 + o])
    assert is_across(source, p, q) == (q != 2)


def test_an_axis_of_one_sample_is_never_the_last() -> None:
    out = np.zeros((1, 4, 5, 1))
    assert axis_order(np.zeros((1, 4, 5, 6)), out) == (0, 2, 1)
    assert axis_order(np.zeros((1, 4, 5, 1)), out) == (2, 0, 1)
    assert not is_across(np.zeros((1, 4, 1, 6))[:, ::-1], 1, 2)


@pytest.mark.parametrize("axes", list(permutations(range(3))))
def test_a_dense_array_has_a_contiguous_view(axes: tuple[int, int, int]) -> None:
    array = np.arange(60).reshape(3, 4, 5).transpose(axes)[::-1, :, ::-1]
    order = memory_order(array)
    assert order is not None
    contiguous = order.contiguous(array)
    assert contiguous.flags.c_contiguous
    restored = order.restored(contiguous)
    assert (restored.strides, restored.tolist()) == (array.strides, array.tolist())


def test_gaps_and_repetitions_have_no_order() -> None:
    assert memory_order(np.zeros((4, 6))[:, ::2]) is None
    assert memory_order(np.broadcast_to(np.zeros(3), (2, 3))) is None


def test_axes_sort_from_the_greatest_step_to_the_smallest() -> None:
    array = np.zeros((2, 5, 4, 3), np.int16).transpose(0, 3, 1, 2)[:, :, ::-1]
    order = fastest_last(array)
    assert order == (1, 2, 0)
    assert reordered(steps(array), order) == (60, -12, 3, 1)
