"""A field's grid through crops, pads and resamplings."""

from __future__ import annotations

import numpy as np
import pytest
from transforms_oracle import blank_field

from gpu_infer.transforms.field import PROPERTIES, Resampled, Source, Windowed
from gpu_infer.volume.geometry import Geometry, Orientation


def test_a_change_of_sampling_keeps_the_extent() -> None:
    field = blank_field((8, 6, 4))
    field.resampled((4, 6, 8), align_corners=False)
    assert (field.shape, field.spacing) == ((4, 6, 8), (2.0, 1.0, 0.5))
    assert field.history == (Resampled((8, 6, 4), align_corners=False),)
    field.resampled((4, 6, 8))
    assert len(field.history) == 1  # the same grid is no change


def test_a_restored_field_has_the_loaded_grid() -> None:
    field = blank_field((8, 6, 4))
    field.windowed((1, 2, -1), (5, 3, 6))
    field.resampled((10, 3, 6))
    assert field.history == (Windowed((8, 6, 4), (1, 2, -1)), Resampled((5, 3, 6)))
    field.restored()
    assert (field.shape, field.spacing, field.history) == ((8, 6, 4), (1.0, 1.0, 1.0), ())


def test_indices_of_the_loaded_grid() -> None:
    field = blank_field((9, 9, 9))
    field.windowed((2, 0, -3), (5, 9, 12))
    assert field.loaded_index((0, 1, 3)) == (2.0, 1.0, 0.0)
    field.resampled((9, 9, 23))  # corners stay: index 8 is index 4 before, 22 is 11
    assert field.loaded_index((8, 4, 22)) == (6.0, 4.0, 8.0)
    faces = blank_field((4, 4, 4))
    faces.resampled((8, 2, 4), align_corners=False)
    assert faces.loaded_index((0, 0, 1)) == (-0.25, 0.5, 1.0)
    one = blank_field((1, 5, 5))
    one.resampled((3, 1, 5))
    assert one.loaded_index((2, 0, 4)) == (0.0, 0.0, 4.0)


def test_only_neighbouring_resamplings_of_one_convention_are_undone_together() -> None:
    step, other = Resampled((9, 9, 9)), Resampled((8, 8, 8), align_corners=False)
    assert step.also_undoes(Resampled((8, 8, 8)))
    assert not step.also_undoes(other)
    assert not step.also_undoes(Windowed((8, 8, 8), (0, 0, 0)))
    assert not Windowed((8, 8, 8), (0, 0, 0)).also_undoes(step)


def test_properties_are_those_of_the_loaded_grid() -> None:
    affine = np.diag([-2.0, 3.0, 4.0, 1.0])
    geometry = Geometry((5, 6, 7), affine)
    source = Source(geometry, geometry.orientation)
    properties = source.properties()
    assert tuple(properties) == PROPERTIES
    assert properties["as_canonical"] is True
    assert properties["spacing"] == (2.0, 3.0, 4.0)
    assert properties["filename"] == ""
    np.testing.assert_array_equal(properties["original_affine"], affine)
    assert properties["affine"][0].tolist() == [2.0, 0.0, 0.0, -8.0]
    assert Source(geometry, Orientation.identity()).properties()["as_canonical"] is False


@pytest.mark.parametrize(("dtype", "size"), [(np.uint8, 120), (np.float32, 480)])
def test_bytes(dtype: type, size: int) -> None:
    assert blank_field((4, 5, 6), dtype=np.dtype(dtype)).nbytes == size
    assert blank_field((4, 5, 6), dtype=np.dtype(dtype), channels=3).nbytes == 3 * size
