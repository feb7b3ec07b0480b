"""Irregular slices in index space: a grid of the stacked slices, and the place of each of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicom_series import refused
from dicom_source import OBLIQUE, ORIGIN, SPACING, STEP, irregular_places, values, write_enhanced_study, write_study

from gpu_infer.errors import InputError
from gpu_infer.volume.formats.dicom.series import Series, make_series, read_folder
from gpu_infer.volume.formats.dicom.slices import IrregularSlices

SHAPE = (8, 6, 10)
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])
NORMAL = np.cross(OBLIQUE[:3], OBLIQUE[3:])


def in_index_space(folder: Path) -> Series:
    series = read_folder(folder, "index")
    assert series is not None
    return series


def irregular(folder: Path, kind: str, *, enhanced: bool = False) -> Path:
    places = irregular_places(kind, SHAPE[2])
    if enhanced:
        return write_enhanced_study(folder, SHAPE, [3, 1, 2, 0, *range(4, 10)], places)
    return write_study(folder, SHAPE, places=places)


@pytest.mark.parametrize("enhanced", [False, True])
@pytest.mark.parametrize("kind", ["tilted", "gap", "uneven"])
def test_slices_are_stacked_along_their_normal(tmp_path: Path, kind: str, enhanced: bool) -> None:
    places = irregular_places(kind, SHAPE[2])
    series = in_index_space(irregular(tmp_path / "ct", kind, enhanced=enhanced))
    step = float(np.median(np.diff(places @ NORMAL)))
    if kind != "uneven":
        assert step == pytest.approx(STEP)  # of a tilted series, the distance of the planes, not of the origins
    assert series.geometry.spacing == pytest.approx((SPACING[1], SPACING[0], step))
    expected = LPS_TO_RAS @ np.column_stack(
        [SPACING[1] * np.array(OBLIQUE[:3]), SPACING[0] * np.array(OBLIQUE[3:]), step * NORMAL]
    )
    np.testing.assert_allclose(series.geometry.affine[:3, :3], expected, atol=1e-6)
    np.testing.assert_allclose(series.geometry.affine[:3, 3], LPS_TO_RAS @ places[0], atol=1e-6)
    np.testing.assert_array_equal(series.load([])[0].transpose(2, 1, 0), values(SHAPE))
    assert series.index_space is not None
    np.testing.assert_allclose(series.index_space.positions, places, atol=1e-6)
    assert series.warnings == (
        f"segmented in index space, as if the slices were a regular grid: {series.index_space.reason}",
    )


def test_every_reason_is_given(tmp_path: Path) -> None:
    places = irregular_places("tilted", SHAPE[2])
    places[5:] += STEP * NORMAL
    series = in_index_space(write_study(tmp_path / "ct", SHAPE, places=places))
    assert series.index_space is not None
    first, second = series.index_space.reason.split("; ")
    assert first.startswith("1 slices missing: 2.500 mm between CT0")
    assert second.startswith("gantry tilt of 16.")  # 18° but for the gap


def test_a_regular_series_is_as_without_the_option(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "ct", SHAPE)
    with_option, without = in_index_space(folder), read_folder(folder)
    assert without is not None
    assert with_option.index_space is None
    assert with_option.warnings == ()
    np.testing.assert_array_equal(with_option.geometry.affine, without.geometry.affine)


@pytest.mark.parametrize("kind", ["tilted", "gap", "uneven"])
def test_without_the_option_the_refusal_names_it(tmp_path: Path, kind: str) -> None:
    message = refused(irregular(tmp_path / "ct", kind), "gantry tilt|slices missing|uneven")
    assert "add --tilt index, with --dicom-seg or --dicom-sc" in message


def test_doubled_slices_are_refused_in_index_space(tmp_path: Path) -> None:
    places = irregular_places("tilted", SHAPE[2])
    places[4] = places[3]
    with pytest.raises(InputError, match="two slices at one position") as caught:
        in_index_space(write_study(tmp_path / "ct", SHAPE, places=places))
    assert not isinstance(caught.value, IrregularSlices)


def test_slices_of_other_planes_are_refused_in_index_space(tmp_path: Path) -> None:
    """A turn of the slices about an axis: highdicom would write one orientation for all."""
    folder = write_study(tmp_path / "ct", SHAPE)
    turned = write_study(tmp_path / "turned", (*SHAPE[:2], 1), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), ORIGIN + 40)
    (turned / "CT003.dcm").rename(folder / "CT999.dcm")
    with pytest.raises(InputError, match="orientation differs"):
        in_index_space(folder)


def test_make_series_refuses_by_default(tmp_path: Path) -> None:
    from gpu_infer.volume.formats.dicom.file import quiet
    from gpu_infer.volume.formats.dicom.folder import read_images

    folder, notes = irregular(tmp_path / "ct", "gap"), list[str]()
    with quiet(), pytest.raises(IrregularSlices, match="1 slices missing"):
        make_series(folder, read_images(folder, notes), notes)
