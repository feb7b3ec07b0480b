"""Label maps of every format, read back by SimpleITK, nibabel and pynrrd: the same labels on the same grid."""

from __future__ import annotations

import gzip
import itertools
from pathlib import Path
from typing import Any

import nibabel as nib
import nrrd
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from gpu_infer.choices import Format
from gpu_infer.volume.geometry import Geometry
from gpu_infer.volume.read import read_header, read_volume
from gpu_infer.writers.formats.registry import FORMATS
from gpu_infer.writers.label_maps import LabelMap, write_label_maps

DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32")
SHAPE = (5, 4, 3)
EXACT: tuple[Format, ...] = ("mhd", "mha", "nrrd", "seg.nrrd")
"""Formats whose numbers are text or float64."""

NIFTI: tuple[Format, ...] = ("nii.gz", "nii")
_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def written(folder: Path, labels: NDArray[Any], affine: NDArray[np.float64], dtype: str = "uint8", **more: Any) -> Any:
    """The file of each format."""
    folder.mkdir(exist_ok=True)
    maps = {"model": LabelMap(labels, dtype, tuple(FORMATS))}
    files = write_label_maps(maps, Geometry(labels.shape, affine), folder, "ct", **more)["model"]
    return {name: paths[0] for name, paths in files.items()}


def by_itk(path: Path) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Labels [I, J, K] and RAS affine."""
    image = sitk.ReadImage(path)
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return sitk.GetArrayFromImage(image).transpose(2, 1, 0), _LPS @ affine


def by_nibabel(path: Path) -> tuple[NDArray[Any], NDArray[np.float64]]:
    image = nib.load(path)
    return np.asarray(image.dataobj), image.affine


def by_pynrrd(path: Path) -> tuple[NDArray[Any], NDArray[np.float64]]:
    labels, header = nrrd.read(str(path))
    affine = np.eye(4)
    affine[:3, :3] = header["space directions"].T
    affine[:3, 3] = header["space origin"]
    return labels, _LPS @ affine


READERS = {
    **dict.fromkeys(("mhd", "mha"), (by_itk,)),
    **dict.fromkeys(NIFTI, (by_itk, by_nibabel)),
    **dict.fromkeys(("nrrd", "seg.nrrd"), (by_itk, by_pynrrd)),
}


def distance_mm(affine: NDArray[np.float64], expected: NDArray[np.float64], shape: Any = SHAPE) -> float:
    """Largest distance of a corner of the grid."""
    corners = Geometry(shape, affine).corners() - Geometry(shape, expected).corners()
    return float(np.linalg.norm(corners, axis=1).max())


def rounding_mm(affine: NDArray[np.float64]) -> float:
    """How far float32 may move a corner: the numbers of the header, and a quaternion that is computed from them."""
    size = np.abs(affine[:3, :3]) @ np.array(SHAPE) + np.abs(affine[:3, 3])
    return float(8 * np.finfo(np.float32).eps * size.max())


def orientations() -> list[NDArray[np.float64]]:
    """The 48 signed permutations of the axes."""
    return [
        np.eye(3)[:, list(order)] * signs
        for order in itertools.permutations(range(3))
        for signs in itertools.product((1.0, -1.0), repeat=3)
    ]


@pytest.mark.parametrize("number", range(48))
@pytest.mark.parametrize("degrees", [0.0, 17.3])
def test_every_orientation_straight_and_oblique(tmp_path: Path, number: int, degrees: float) -> None:
    chance = np.random.default_rng(number)
    turn = Rotation.from_rotvec(np.deg2rad(degrees) * np.array([0.48, -0.6, 0.64])).as_matrix()
    affine = np.eye(4)
    affine[:3, :3] = turn @ orientations()[number] * [0.7031249, 0.9, 2.5]
    affine[:3, 3] = chance.uniform(-300, 300, 3)
    labels = chance.integers(0, 5, SHAPE).astype(np.uint8)
    files = written(tmp_path, labels, affine, DTYPES[number % len(DTYPES)])
    assert list(files) == list(READERS)
    for name, path in files.items():
        tolerance = 1e-6 if name in EXACT else rounding_mm(affine)
        for reader in READERS[name]:
            actual, grid = reader(path)
            np.testing.assert_array_equal(actual, labels, err_msg=f"{name} {reader.__name__}")
            assert actual.dtype == DTYPES[number % len(DTYPES)]
            assert distance_mm(grid, affine) <= tolerance, f"{name} {reader.__name__}"
        own = read_volume(path)
        np.testing.assert_array_equal(own.data[0], labels)
        assert distance_mm(own.geometry.affine, affine) <= tolerance


def matrices() -> st.SearchStrategy[NDArray[np.float64]]:
    """Rotations with spacing and offset."""
    numbers = st.floats(-1.0, 1.0)
    quaternion = st.tuples(numbers, numbers, numbers, st.floats(0.1, 1.0))
    spacing = st.tuples(*[st.floats(0.05, 10.0)] * 3)
    offset = st.tuples(*[st.floats(-2000.0, 2000.0)] * 3)

    def affine(parts: tuple[Any, Any, Any]) -> NDArray[np.float64]:
        turn, size, place = parts
        matrix = np.eye(4)
        matrix[:3, :3] = Rotation.from_quat(turn).as_matrix() * size
        matrix[:3, 3] = place
        return matrix

    return st.tuples(quaternion, spacing, offset).map(affine)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(matrices(), st.sampled_from(DTYPES), st.permutations(range(3)), st.integers(0, 2**32))
def test_any_rotation_dtype_and_memory_order(tmp_path: Path, affine: Any, dtype: str, order: Any, seed: int) -> None:
    limits = np.iinfo(dtype)
    stored = np.random.default_rng(seed).integers(limits.min, limits.max, SHAPE, dtype=dtype, endpoint=True)
    labels = np.ascontiguousarray(stored.transpose(order)).transpose(np.argsort(order))
    assert labels.shape == SHAPE
    for name, path in written(tmp_path, labels, affine, dtype).items():
        tolerance = 1e-6 if name in EXACT else rounding_mm(affine)
        for reader in READERS[name]:
            actual, grid = reader(path)
            np.testing.assert_array_equal(actual, labels)
            assert distance_mm(grid, affine) <= tolerance, f"{name} {reader.__name__}"


SHEARED = np.array([[1.0, 0.3, 0.0, 10.1], [0.0, 2.0, 0.25, -5.2], [0.0, 0.0, 3.0, 7.3], [0, 0, 0, 1.0]])


def test_a_sheared_grid(tmp_path: Path) -> None:
    labels = np.arange(60, dtype=np.uint8).reshape(SHAPE)
    files = written(tmp_path, labels, SHEARED)
    for name in EXACT:
        for reader in READERS[name]:
            assert distance_mm(reader(files[name])[1], SHEARED) < 1e-6
    for name in NIFTI:
        assert distance_mm(by_nibabel(files[name])[1], SHEARED) < 1e-5
        assert int(nib.load(files[name]).header["qform_code"]) == 0
        with pytest.raises(RuntimeError, match="orthonormal"):
            by_itk(files[name])


def nifti_inputs(folder: Path) -> dict[str, Path]:
    """NIfTI files whose headers differ in how they place the voxels."""
    voxels = np.zeros(SHAPE, np.int16)
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_rotvec([0.1, 0.2, -0.3]).as_matrix() * [-0.7, 0.8, 2.5]
    affine[:3, 3] = (101.123456789, -57.3, 3.3333333)
    shifted = affine + np.array([[0, 0, 0, 5.0]] * 3 + [[0, 0, 0, 0]])
    kinds: dict[str, tuple[Any, Any, Any, str]] = {
        "both": (nib.Nifti1Image, (affine, 1), (affine, 1), "mm"),
        "different": (nib.Nifti1Image, (affine, 2), (shifted, 4), "mm"),
        "qform": (nib.Nifti1Image, (affine, 3), (None, 0), "unknown"),
        "sform": (nib.Nifti1Image, (None, 0), (affine, 2), "mm"),
        "sheared": (nib.Nifti1Image, (None, 0), (SHEARED, 1), "mm"),
        "none": (nib.Nifti1Image, (None, 0), (None, 0), "mm"),
        "metres": (nib.Nifti1Image, (affine / 1000, 1), (affine / 1000, 1), "meter"),
        "second": (nib.Nifti2Image, (affine, 1), (affine, 1), "mm"),
    }
    paths = {}
    for name, (image_class, qform, sform, unit) in kinds.items():
        image = image_class(voxels, None)
        image.header.set_zooms((0.7, 0.8, 2.5))
        image.header.set_xyzt_units(unit, "sec")
        image.header.set_qform(*qform)
        image.header.set_sform(*sform)
        paths[name] = folder / f"{name}.nii.gz"
        nib.save(image, paths[name])
    return paths


@pytest.mark.parametrize("kind", ["both", "different", "qform", "sform", "sheared", "none", "metres", "second"])
def test_nifti_has_the_grid_of_a_nifti_input_bit_by_bit(tmp_path: Path, kind: str) -> None:
    source = nifti_inputs(tmp_path)[kind]
    header = read_header([source])
    labels = np.arange(60, dtype=np.uint8).reshape(SHAPE)
    files = written(tmp_path / "out", labels, header.geometry.affine, nifti=header.nifti)
    original = nib.load(source)
    for name in NIFTI:
        image = nib.load(files[name])
        assert type(image) is type(original)
        np.testing.assert_array_equal(np.asarray(image.dataobj), labels)
        np.testing.assert_array_equal(image.affine, original.affine)
        for form in ("get_qform", "get_sform"):
            (actual, code), (expected, expected_code) = (getattr(each, form)(coded=True) for each in (image, original))
            assert code == expected_code
            np.testing.assert_array_equal(actual, expected)
        assert image.header.get_zooms() == original.header.get_zooms()
        assert image.header.get_xyzt_units() == (original.header.get_xyzt_units()[0], "unknown")
        np.testing.assert_array_equal(read_header([files[name]]).geometry.affine, header.geometry.affine)


def test_fields_of_a_nifti_label_map(tmp_path: Path) -> None:
    labels = np.arange(60, dtype=np.uint8).reshape(SHAPE)
    for name in NIFTI:
        header = nib.load(written(tmp_path, labels, np.eye(4), "uint16")[name]).header
        assert header.get_intent()[0] == "label"
        assert (float(header["cal_min"]), float(header["cal_max"])) == (0.0, 59.0)
        assert header.get_data_dtype() == np.uint16
        assert header["descrip"].item().startswith(b"gpu_infer labels")
        assert header.get_xyzt_units() == ("mm", "unknown")
    raw = (tmp_path / "ct.nii").read_bytes()
    assert np.frombuffer(raw, "<f4", 2, 112).tolist() == [1.0, 0.0]  # scl_slope and scl_inter, which nibabel hides
    unpacked = gzip.decompress((tmp_path / "ct.nii.gz").read_bytes())
    assert unpacked[:148] + unpacked[228:] == raw[:148] + raw[228:]  # all but descrip


@pytest.mark.parametrize("affine", [np.eye(4), np.diag([0.37, 0.37, 0.37, 1.0])])
def test_a_long_axis_or_a_far_grid_is_nifti_2(tmp_path: Path, affine: NDArray[np.float64]) -> None:
    shape = (32768, 1, 2) if affine[0, 0] == 1 else SHAPE
    if shape == SHAPE:
        affine = affine.copy()
        affine[:3, 3] = 1234567.89
    labels = np.zeros(shape, np.uint8)
    labels[-1, 0, 1] = 9
    for name in NIFTI:
        image = nib.load(written(tmp_path, labels, affine)[name])
        assert isinstance(image, nib.Nifti2Image)
        np.testing.assert_array_equal(np.asarray(image.dataobj), labels)
        np.testing.assert_array_equal(image.affine, affine)


def test_equal_labels_make_equal_files(tmp_path: Path) -> None:
    labels = np.arange(60, dtype=np.uint8).reshape(SHAPE)
    first = written(tmp_path / "a", labels, np.eye(4))
    second = written(tmp_path / "b", labels.copy(order="F"), np.eye(4))
    assert all(first[name].read_bytes() == second[name].read_bytes() for name in FORMATS)
