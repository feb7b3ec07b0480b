"""The order of axes in a model's tensors, and views of them."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from gpu_infer.triton.model.layout import ChannelPlace, TensorLayout

WINDOW = (8, 9, 10)
ORDERS = ["".join(order) for n in (2, 3) for order in permutations("XYZ", n)]


def test_both_places_of_channels() -> None:
    first, last = TensorLayout(), TensorLayout(channels="last")
    assert first.tensor_shape(2, WINDOW) == (2, 8, 9, 10)
    assert last.tensor_shape(2, WINDOW) == (8, 9, 10, 2)
    assert first.split_dims((2, 8, 9, 10)) == last.split_dims((8, 9, 10, 2)) == (2, WINDOW)


def test_labels_may_have_no_axis_of_channels() -> None:
    assert TensorLayout("ZYX").of_rank(4) == TensorLayout("ZYX")
    layout = TensorLayout("ZYX").of_rank(3)
    assert layout.tensor_shape(1, WINDOW) == (10, 9, 8)
    assert layout.split_dims((10, 9, 8)) == (1, WINDOW)
    tensors = np.arange(2 * 720).reshape(2, 10, 9, 8)
    np.testing.assert_array_equal(layout.view(tensors), tensors.transpose(0, 3, 2, 1)[:, None])
    plane = TensorLayout("ZX", "last").of_rank(2)
    assert plane.tensor_shape(1, (8, 1, 10)) == (10, 8)
    np.testing.assert_array_equal(plane.view(tensors[:, 0]), tensors[:, 0].transpose(0, 2, 1)[:, None, :, None, :])


def test_slices_have_size_1_across() -> None:
    layout = TensorLayout("ZX")
    assert (layout.slice_axis, layout.rank) == (1, 3)
    assert layout.tensor_shape(3, (8, 1, 10)) == (3, 10, 8)
    assert layout.split_dims((3, 10, -1)) == (3, (-1, 1, 10))
    assert TensorLayout().slice_axis is None


@pytest.mark.parametrize("channels", ["first", "last"])
@pytest.mark.parametrize("axes", ORDERS)
def test_a_view_has_the_values_at_their_places(axes: str, channels: ChannelPlace) -> None:
    """tensor[n, c, i, j(, k)] is view[n, c, x, y, z] with i, j, k along the axes of the layout."""
    layout = TensorLayout(axes, channels)
    window = tuple(n if axis in axes else 1 for axis, n in zip("XYZ", WINDOW, strict=True))
    assert len(window) == 3
    tensors = np.arange(2 * 3 * np.prod(window)).reshape(2, *layout.tensor_shape(3, window))
    view = layout.view(tensors)
    assert view.shape == (2, 3, *window)
    assert np.shares_memory(view, tensors)
    for n, c, x, y, z in np.ndindex(view.shape):
        place = tuple({"X": x, "Y": y, "Z": z}[axis] for axis in axes)
        index = (n, *place, c) if channels == "last" else (n, c, *place)
        assert view[n, c, x, y, z] == tensors[index]
