"""MONAI's Spacing of oblique files against our placement of samples."""

from __future__ import annotations

from typing import Any

import monai.transforms as mt
import numpy as np
import torch
from monai.data import MetaTensor
from peers_ours import prepared


def test_spacing_of_oblique_files_in_monais_placement(equivalence: Any) -> None:
    """The matrices of files are float32: MONAI decides by their rounding whether first samples or centres coincide."""
    rng = np.random.default_rng(3)
    first_coincides = []
    for _ in range(24):
        data = rng.integers(-1200, 1500, (13, 17, 9)).astype(np.int16)
        spacing, target = rng.uniform(0.5, 3, 3), rng.uniform(0.5, 3, 3)
        turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        affine = np.eye(4)
        affine[:3, :3] = np.float32(turn * spacing)
        image = mt.Orientation(axcodes="RAS", labels=None)(
            MetaTensor(torch.from_numpy(data[None].astype(np.float32)), affine=affine)
        )
        expected = mt.Spacing(pixdim=target, mode="bilinear", padding_mode="border", dtype=np.float64)(image)
        args = {"target_spacing": list(target), "placement": "monai"}
        actual = prepared(data, ("ScaleBySpacing", args), affine=affine)
        worst = float(np.abs(actual - expected.numpy()).max())
        assert worst <= 2.7e-2
        first_coincides.append(bool(abs(expected.affine[:3, 3] - image.affine[:3, 3]).max() < 1e-6))
        equivalence.record(
            "monai.transforms.Spacing(mode='bilinear'), oblique files",
            'ScaleBySpacing, ScaleByResolution with placement "monai"',
            tolerance="2.7e-2 HU on a range of 2700",
            worst=worst,
        )
    assert 0 < sum(first_coincides) < len(first_coincides)


def test_an_axis_without_a_target_is_monais_of_minus_one(equivalence: Any) -> None:
    data = np.random.default_rng(8).integers(-1200, 1500, (13, 17, 9)).astype(np.int16)
    affine = np.diag([0.8, 1.3, 2.5, 1.0])
    image = MetaTensor(torch.from_numpy(data[None].astype(np.float32)), affine=affine)
    for pixdim in ((1.1, -1, 2.0), (-1, -1, 1.0), (0.9, 0.9, 0)):
        expected = mt.Spacing(pixdim=pixdim, mode="bilinear", padding_mode="border", dtype=np.float64)(image)
        target = [size if size > 0 else None for size in pixdim]
        actual = prepared(data, ("ScaleBySpacing", {"target_spacing": target, "placement": "monai"}), affine=affine)
        worst = float(np.abs(actual - expected.numpy()).max())
        assert worst <= 2.7e-2
        equivalence.record(
            "monai.transforms.Spacing(mode='bilinear'), any target",
            'ScaleBySpacing, ScaleByResolution with placement "monai", linear',
            tolerance="2.7e-2 HU on a range of 2700",
            worst=worst,
        )
