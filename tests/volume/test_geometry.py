"""Orientation as strides, against nibabel's canonical images and SimpleITK's point arithmetic."""

from __future__ import annotations

from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from gpu_infer.volume.geometry import Geometry, Orientation

SIGNED = [(axes, flips) for axes in permutations(range(3)) for flips in product((False, True), repeat=3)]
SHAPE = (3, 4, 5)


def signed_matrix(axes: tuple[int, ...], flips: tuple[bool, ...]) -> NDArray[np.float64]:
    matrix = np.zeros((3, 3))
    for canonical, (stored, flip) in enumerate(zip(axes, flips, strict=True)):
        matrix[canonical, stored] = -1.0 if flip else 1.0
    return matrix


@st.composite
def geometries(draw: st.DrawFn) -> Geometry:
    """One of the 48 orientations, turned by up to 40 degrees, anisotropic, anywhere in a metre."""
    axes, flips = draw(st.sampled_from(SIGNED))
    turn = Rotation.from_rotvec([draw(st.floats(-0.4, 0.4)) for _ in range(3)]).as_matrix()
    spacing = [draw(st.floats(0.1, 8.0)) for _ in range(3)]
    affine = np.eye(4)
    affine[:3, :3] = turn @ signed_matrix(axes, flips) * spacing
    affine[:3, 3] = [draw(st.floats(-500, 500)) for _ in range(3)]
    shape = tuple(draw(st.integers(1, 6)) for _ in range(3))
    return Geometry(shape, affine)  # type: ignore[arg-type]


@pytest.mark.parametrize(("axes", "flips"), SIGNED)
@pytest.mark.parametrize("oblique", [0.0, 0.35])
def test_all_48_orientations_agree_with_nibabel(axes: tuple[int, ...], flips: tuple[bool, ...], oblique: float) -> None:
    affine = np.eye(4)
    turn = Rotation.from_rotvec([oblique, -oblique / 2, oblique / 3]).as_matrix()
    affine[:3, :3] = turn @ signed_matrix(axes, flips) * (0.7, 1.3, 5.0)
    affine[:3, 3] = (-12.5, 40.25, 7.0)
    data = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE)
    canonical = nib.as_closest_canonical(nib.Nifti1Image(data, affine))
    geometry = Geometry(SHAPE, affine)
    orientation = geometry.orientation
    view = orientation.view(data)
    assert np.shares_memory(view, data)
    np.testing.assert_array_equal(view, np.asanyarray(canonical.dataobj))
    seen = geometry.reoriented(orientation)
    assert seen.shape == canonical.shape == orientation.shape(SHAPE)
    np.testing.assert_allclose(seen.affine, canonical.affine, atol=1e-12)
    assert seen.orientation == Orientation.identity()


@given(geometries())
def test_reorienting_keeps_the_points_where_they_are(geometry: Geometry) -> None:
    seen = geometry.reoriented(geometry.orientation)
    before, after = geometry.corners(), seen.corners()
    nearest = np.linalg.norm(before[:, None] - after[None], axis=-1)
    assert nearest.min(axis=1).max() < 1e-9
    assert sorted(nearest.argmin(axis=1)) == list(range(8))
    assert sorted(seen.spacing) == pytest.approx(sorted(geometry.spacing))


@given(geometries())
def test_writing_through_the_view_restores_the_stored_order(geometry: Geometry) -> None:
    stored = np.zeros((2, *geometry.shape), np.int32)
    view = geometry.orientation.view(stored)
    view[...] = np.arange(view.size).reshape(view.shape)
    index = np.argwhere(np.ones(view.shape[1:], bool))
    seen = geometry.reoriented(geometry.orientation)
    world = index @ seen.affine[:3, :3].T + seen.affine[:3, 3]
    inverse = np.linalg.inv(geometry.affine)
    back = np.rint(world @ inverse[:3, :3].T + inverse[:3, 3]).astype(int)
    np.testing.assert_array_equal(stored[(1, *back.T)], view[1].ravel())


@given(geometries())
def test_itk_round_trip_and_meaning(geometry: Geometry) -> None:
    spacing, origin, direction = geometry.to_itk()
    again = Geometry.from_itk(geometry.shape, spacing, origin, direction)
    np.testing.assert_allclose(again.affine, geometry.affine, atol=1e-11)
    image = sitk.Image(list(geometry.shape), sitk.sitkUInt8)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    image.SetDirection(direction)
    ends = product(*((-0.5, n - 0.5) for n in geometry.shape))
    lps = np.array([image.TransformContinuousIndexToPhysicalPoint(index) for index in ends])
    np.testing.assert_allclose(lps * (-1, -1, 1), geometry.corners(), atol=1e-9)


def test_axis_aligned_spacing_survives_itk_to_the_last_bit() -> None:
    spacing, origin = (0.627, 1 / 3, 5.1), (-160.3, 1e3 / 7, 22.0)
    direction = (0.0, 0.0, 1.0, -1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    assert Geometry.from_itk(SHAPE, spacing, origin, direction).to_itk() == (spacing, origin, direction)
