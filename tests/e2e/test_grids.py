"""The written label grid is the input grid: 48 orientations, oblique axes, anisotropic spacing, with a real server."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from operator_helpers import config, operate, write_nifti

pytestmark = pytest.mark.slow

ORIENTATIONS = [
    (axes, flips) for axes in itertools.permutations(range(3)) for flips in itertools.product((1, -1), repeat=3)
]


def oblique_affine(axes: tuple[int, ...], flips: tuple[int, ...]) -> np.ndarray:
    """Axes permuted and flipped, turned by 7, 5 and 4 degrees, with spacing 0.7×1.3×2.9 mm and an offset."""
    matrix = np.zeros((3, 3))
    for stored, (world, sign) in enumerate(zip(axes, flips, strict=True)):
        matrix[world, stored] = sign
    turn = np.eye(3)
    for axis, degrees in enumerate((7.0, 5.0, 4.0)):
        c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        step = np.eye(3)
        a, b = [n for n in range(3) if n != axis]
        step[a, a], step[a, b], step[b, a], step[b, b] = c, -s, s, c
        turn = step @ turn
    affine = np.eye(4)
    affine[:3, :3] = (turn @ matrix) * np.array([0.7, 1.3, 2.9])
    affine[:3, 3] = (-91.3, 12.25, 407.5)
    return affine


def corners_ras(image: sitk.Image) -> np.ndarray:
    """Outer corners by SimpleITK's own index-to-point transform, LPS turned to RAS."""
    ends = [(-0.5, n - 0.5) for n in image.GetSize()]
    points = [image.TransformContinuousIndexToPhysicalPoint(index) for index in itertools.product(*ends)]
    return np.array(points) * (-1, -1, 1)


@pytest.mark.parametrize(("axes", "flips"), ORIENTATIONS)
def test_identity_model_returns_the_thresholded_input(
    tmp_path: Path, triton_server: Any, axes: tuple[int, ...], flips: tuple[int, ...]
) -> None:
    shape = (13, 10, 7)
    data = np.random.default_rng(7).random(shape, dtype=np.float32)
    affine = oblique_affine(axes, flips)
    write_nifti(tmp_path / "input/case.nii.gz", data, affine)
    result = operate(tmp_path, triton_server, config("threshold_half", roi_size=[8, 8, 8]))

    written = sitk.ReadImage(str(result.output))
    labels = sitk.GetArrayFromImage(written).transpose(2, 1, 0)
    np.testing.assert_array_equal(labels, data > 0.5)

    reread = nib.load(tmp_path / "input/case.nii.gz")
    ends = [(-0.5, n - 0.5) for n in shape]
    index = np.array([(*point, 1.0) for point in itertools.product(*ends)])
    expected = (reread.affine @ index.T).T[:, :3]
    np.testing.assert_allclose(corners_ras(written), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("axes", "flips"), ORIENTATIONS[::5])
def test_resampling_keeps_the_input_grid(
    tmp_path: Path, triton_server: Any, axes: tuple[int, ...], flips: tuple[int, ...]
) -> None:
    """A block resampled to another grid and back stays where it was: Dice ≥ 0.9 at coarse resolution."""
    shape = (30, 24, 18)
    data = np.zeros(shape, np.int16)
    data[5:14, 11:20, 3:9] = 1
    affine = oblique_affine(axes, flips)
    write_nifti(tmp_path / "input/case.nii", data, affine)
    result = operate(
        tmp_path, triton_server, config("threshold_half", resolution=(0.9, 1.1, 1.7), roi_size=[16, 16, 16])
    )
    written = sitk.ReadImage(str(result.output))
    labels = sitk.GetArrayFromImage(written).transpose(2, 1, 0)
    assert labels.shape == shape
    assert 2 * np.sum(labels * data) / (labels.sum() + data.sum()) >= 0.9
    np.testing.assert_allclose(corners_ras(written)[0], (affine @ (-0.5, -0.5, -0.5, 1))[:3], atol=1e-4)


def test_metaimage_and_nrrd_inputs_keep_itk_geometry(tmp_path: Path, triton_server: Any) -> None:
    data = np.random.default_rng(3).random((9, 11, 12)).astype(np.float32)
    image = sitk.GetImageFromArray(data)
    image.SetSpacing((0.6, 0.7, 3.1))
    image.SetOrigin((11.0, -7.5, 99.25))
    turn = sitk.Euler3DTransform((0, 0, 0), 0.1, -0.2, 0.3)
    image.SetDirection(turn.GetMatrix())
    for name in ("case.mhd", "case.mha", "case.nrrd"):
        root = tmp_path / name
        (root / "input").mkdir(parents=True)
        sitk.WriteImage(image, str(root / "input" / name))
        result = operate(root, triton_server, config("threshold_half", roi_size=[8, 8, 8]))
        assert result.output.name == "case.mhd"
        written = sitk.ReadImage(str(result.output))
        np.testing.assert_array_equal(sitk.GetArrayFromImage(written), data > 0.5)
        assert written.GetSize() == image.GetSize()
        np.testing.assert_allclose(written.GetSpacing(), image.GetSpacing(), rtol=0, atol=1e-12)
        np.testing.assert_allclose(written.GetOrigin(), image.GetOrigin(), rtol=0, atol=1e-9)
        np.testing.assert_allclose(written.GetDirection(), image.GetDirection(), rtol=0, atol=1e-12)
