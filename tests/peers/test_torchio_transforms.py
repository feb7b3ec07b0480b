"""Our transforms against torchio's where both mean the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torchio as tio
from peers_ours import finished, prepared


def ct(shape: tuple[int, ...] = (17, 14, 11)) -> np.ndarray:
    return np.random.default_rng(5).integers(-1200, 1500, shape).astype(np.int16)


def image(data: np.ndarray, affine: np.ndarray | None = None) -> tio.ScalarImage:
    return tio.ScalarImage(tensor=torch.from_numpy(data[None].astype(np.float32)), affine=affine)


def test_to_canonical(equivalence: Any) -> None:
    affine = np.array([[0, -1.2, 0, 4], [0, 0, 2.0, -3], [-0.7, 0, 0, 8], [0, 0, 0, 1.0]])
    data = ct()
    assert np.array_equal(prepared(data, affine=affine), tio.ToCanonical()(image(data, affine)).numpy())
    equivalence.record("torchio.ToCanonical", "LoadNifti", tolerance="equal", worst=0.0)


def test_rescale_intensity(equivalence: Any) -> None:
    data = ct()
    expected = tio.RescaleIntensity(out_min_max=(0, 1), in_min_max=(-1000, 500))(image(np.clip(data, -1000, 500)))
    chain = ("ScaleIntensityRange", {"a_min": -1000, "a_max": 500, "b_min": 0, "b_max": 1, "clip": True})
    worst = float(np.abs(prepared(data, chain) - expected.numpy()).max())
    assert worst <= 1e-5
    equivalence.record(
        "torchio.RescaleIntensity(out_min_max, in_min_max)",
        "ScaleIntensityRange with clip",
        tolerance="1e-5",
        worst=worst,
    )


@pytest.mark.parametrize("limits", [(-1000, 400), (None, 250.5), (-17.25, None)])
def test_clamp(limits: Any, equivalence: Any) -> None:
    data = ct()
    expected = tio.Clamp(*limits)(image(data)).numpy()
    arguments = {name: limit for name, limit in zip(("minv", "maxv"), limits, strict=True) if limit is not None}
    assert np.array_equal(prepared(data, ("ClipIntensity", arguments)), expected)
    equivalence.record("torchio.Clamp", "ClipIntensity", tolerance="equal", worst=0.0)


def test_z_normalization(equivalence: Any) -> None:
    data = ct()
    data[data < 0] = 0
    inside = tio.ZNormalization(masking_method=lambda x: x != 0)(image(data)).numpy()
    population = np.sqrt((np.count_nonzero(data) - 1) / np.count_nonzero(data))
    expected = np.where(data[None] != 0, inside / population, 0)
    worst = float(np.abs(prepared(data, ("NormalizeNonzeroIntensities", {})) - expected).max())
    assert worst <= 1e-5
    equivalence.record(
        "torchio.ZNormalization(masking_method)",
        "NormalizeNonzeroIntensities",
        tolerance="1e-5, except for the two intended differences",
        worst=worst,
        differs="Population standard deviation (torchio: sample standard deviation); zeros stay 0 (torchio shifts "
        "them, too).",
    )


@pytest.mark.parametrize("multiple", [4, 16])
def test_ensure_shape_multiple(multiple: int, equivalence: Any) -> None:
    data = ct()
    expected = tio.EnsureShapeMultiple(multiple, method="pad")(image(data)).numpy()
    actual = prepared(data, ("SymmetricPadderDiv", {"div_int": multiple}))
    assert actual.shape == expected.shape
    odd = [(-n % multiple) % 2 for n in data.shape]
    back = tuple(-o for o in odd)  # torchio puts the odd voxel in front
    assert np.array_equal(np.roll(expected, back, (1, 2, 3)), actual)
    equivalence.record(
        "torchio.EnsureShapeMultiple(method='pad')",
        "SymmetricPadderDiv",
        tolerance="equal, except for the odd voxel",
        worst=0.0,
        differs="An odd voxel of padding goes to the end (torchio: to the start).",
    )


def test_keep_largest_component(equivalence: Any) -> None:
    rng = np.random.default_rng(0)
    labels = (rng.random((20, 18, 16)) < 0.3).astype(np.uint8)
    expected = tio.KeepLargestComponent()(tio.LabelMap(tensor=torch.from_numpy(labels[None]))).numpy()[0]
    actual = finished(labels, [], None, ("KeepLargestCC", {"connectivity": 1}))
    assert np.array_equal(actual, expected)
    equivalence.record(
        "torchio.KeepLargestComponent",
        "KeepLargestCC",
        tolerance="equal",
        worst=0.0,
        differs="torchio joins all labels into one mask; gpu_infer treats each label on its own.",
    )
