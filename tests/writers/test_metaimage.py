"""What is written is what SimpleITK reads: voxels, and every corner of the grid."""

from __future__ import annotations

import logging
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from gpu_infer.errors import ConfigError
from gpu_infer.volume.geometry import Geometry
from gpu_infer.volume.read import read_volume
from gpu_infer.writers.metaimage import write_metaimage
from gpu_infer.writers.output_dtype import OUTPUT_DTYPES

SHAPE = (5, 4, 3)


def grid(shape: tuple[int, int, int] = SHAPE, turn: tuple[float, ...] = (0.3, -0.2, 0.5)) -> Geometry:
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_rotvec(turn).as_matrix() * (0.627, 1 / 3, 5.1)
    affine[:3, 3] = (-160.3, 1e3 / 7, 22)
    return Geometry(shape, affine)


def stored(dtype: str = "uint8", shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    """[I, J, K] with the first axis fastest in memory."""
    return np.random.default_rng(0).integers(0, 100, shape[::-1]).astype(dtype).transpose(2, 1, 0)


def assert_geometry(image: sitk.Image, geometry: Geometry, tolerance: float = 1e-9) -> None:
    assert image.GetSize() == geometry.shape
    ends = product(*((-0.5, n - 0.5) for n in geometry.shape))
    lps = np.array([image.TransformContinuousIndexToPhysicalPoint(index) for index in ends])
    np.testing.assert_allclose(lps * (-1, -1, 1), geometry.corners(), atol=tolerance)


@pytest.mark.parametrize("dtype", OUTPUT_DTYPES)
def test_every_dtype(tmp_path: Path, dtype: str) -> None:
    array = stored(dtype)
    mhd, raw = write_metaimage(array, grid(), tmp_path, "seg")
    assert (mhd.name, raw.name) == ("seg.mhd", "seg.raw")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([mhd.name, raw.name])
    image = sitk.ReadImage(mhd)
    read_back = sitk.GetArrayFromImage(image)
    assert read_back.dtype == dtype
    np.testing.assert_array_equal(read_back, array.transpose(2, 1, 0))
    assert_geometry(image, grid())
    np.testing.assert_array_equal(read_volume(mhd).data[0], array)


@given(
    st.permutations(range(3)),
    st.tuples(*[st.booleans()] * 3),
    st.tuples(*[st.floats(-0.5, 0.5)] * 3),
    st.tuples(*[st.floats(0.05, 9)] * 3),
    st.tuples(*[st.floats(-1e4, 1e4)] * 3),
)
def test_every_corner_of_any_grid(tmp_path: Path, axes, flips, turn, spacing, origin) -> None:  # type: ignore[no-untyped-def]
    affine = np.eye(4)
    signed = np.eye(3)[:, axes] * np.where(flips, -1, 1)
    affine[:3, :3] = Rotation.from_rotvec(turn).as_matrix() @ signed * spacing
    affine[:3, 3] = origin
    geometry = Geometry(SHAPE, affine)
    mhd, _ = write_metaimage(stored(), geometry, tmp_path, "g")
    assert_geometry(sitk.ReadImage(mhd), geometry)


def test_sheared_axes_survive_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    affine = np.array([[1, 0.3, 0, 5], [0, 1, 0.2, 6], [0.1, 0, 2, 7], [0, 0, 0, 1.0]])
    geometry = Geometry(SHAPE, affine)
    with caplog.at_level(logging.WARNING):
        mhd, _ = write_metaimage(stored(), geometry, tmp_path, "g")
    assert_geometry(sitk.ReadImage(mhd), geometry)
    assert "sheared axes" in caplog.text


@pytest.mark.parametrize("turn", [(0, 0, 0), (1.5, 0, 0), (0, 3.1, 0), (0.3, -0.2, 0.5)])
def test_header_says_what_itk_would_say(tmp_path: Path, turn: tuple[float, ...]) -> None:
    mhd, _ = write_metaimage(stored("int16"), grid(turn=turn), tmp_path, "ours")
    read = sitk.ReadImage(mhd)
    plain = sitk.GetImageFromArray(sitk.GetArrayFromImage(read))  # without the dictionary of what was read
    plain.CopyInformation(read)
    sitk.WriteImage(plain, tmp_path / "itk.mhd")
    ours, theirs = fields(mhd), fields(tmp_path / "itk.mhd")
    assert ours.pop("ElementDataFile") == ["ours.raw"]
    assert theirs.pop("ElementDataFile") == ["itk.raw"]
    assert ours.keys() == theirs.keys()
    for key, words in theirs.items():
        try:
            np.testing.assert_allclose(np.array(ours[key], float), np.array(words, float), rtol=1e-15, atol=0)
        except ValueError:
            assert ours[key] == words, key
    assert mhd.read_text().splitlines()[-1].startswith("ElementDataFile")


def fields(path: Path) -> dict[str, list[str]]:
    pairs = (line.split(" = ") for line in path.read_text(encoding="utf-8").splitlines())
    return {key: value.split() for key, value in pairs}


@pytest.mark.parametrize(
    "make",
    [
        lambda a: np.ascontiguousarray(a),
        lambda a: a[::-1],
        lambda a: a[:, ::-1, ::-1],
        lambda a: np.asfortranarray(a).transpose(2, 0, 1),
        lambda a: np.repeat(a, 2, axis=1)[:, ::2],
        lambda a: a.astype(">i4"),
    ],
)
def test_any_strides_and_byte_order(tmp_path: Path, make) -> None:  # type: ignore[no-untyped-def]
    array = make(stored("int32"))
    mhd, _ = write_metaimage(array, grid(array.shape), tmp_path, "s")
    np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(mhd)), array.transpose(2, 1, 0))


def test_blocks_of_slices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpu_infer.writers.voxel_blocks._CHUNK", 45)
    array = np.ascontiguousarray(stored("uint16", (5, 4, 7)))
    mhd, _ = write_metaimage(array, grid((5, 4, 7)), tmp_path, "s")
    np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(mhd)), array.transpose(2, 1, 0))


def test_read_write_read_is_the_identity(tmp_path: Path) -> None:
    original = sitk.GetImageFromArray(stored("int16").transpose(2, 1, 0))
    original.SetSpacing((0.627, 0.627, 5.0))
    original.SetOrigin((-160.3, 1e3 / 7, 22.0))
    original.SetDirection((0, 0, 1, -1, 0, 0, 0, 1, 0))
    sitk.WriteImage(original, tmp_path / "in.mha")
    volume = read_volume(tmp_path / "in.mha")
    mhd, _ = write_metaimage(volume.data[0], volume.geometry, tmp_path, "out")
    again = sitk.ReadImage(mhd)
    assert again.GetSpacing() == original.GetSpacing()
    assert again.GetOrigin() == original.GetOrigin()
    assert again.GetDirection() == original.GetDirection()


def test_misuse_is_a_value_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"array of shape \(5, 4, 3\) for a grid of shape \(5, 4, 4\)"):
        write_metaimage(stored(), grid((5, 4, 4)), tmp_path, "a")
    with pytest.raises(ValueError, match="is not a file name"):
        write_metaimage(stored(), grid(), tmp_path, "a/b")


@pytest.mark.parametrize("dtype", ["int64", "bool", "float16", "complex64"])
def test_dtypes_that_are_not_written(tmp_path: Path, dtype: str) -> None:
    with pytest.raises(ConfigError, match=f"writers.args.dtype '{dtype}' cannot be written"):
        write_metaimage(stored().astype(dtype), grid(), tmp_path, "a")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["lunge größe", "my ct (1)", "ct.v2", "a=b", "100%d", "LISTED"])
def test_odd_names(tmp_path: Path, name: str) -> None:
    mhd, _ = write_metaimage(stored(), grid(), tmp_path, name)
    np.testing.assert_array_equal(read_volume(mhd).data[0], stored())
    np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(mhd)), stored().transpose(2, 1, 0))
