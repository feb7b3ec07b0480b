"""Our spatial transforms against MONAI's if both mean the same."""

from __future__ import annotations

import itertools
from typing import Any

import monai.transforms as mt
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from peers_monai import ct, tensor, worst
from peers_ours import finished, prepared

ORIENTATIONS = [
    (axes, flips) for axes in itertools.permutations(range(3)) for flips in itertools.product((1.0, -1.0), repeat=3)
]


def test_orientation(equivalence: Any) -> None:
    for number, (axes, flips) in enumerate(ORIENTATIONS):
        affine = np.zeros((4, 4))
        for column, (axis, flip) in enumerate(zip(axes, flips, strict=True)):
            affine[axis, column] = flip * (0.7, 1.1, 2.5)[column]
        affine[:, 3] = (3.0, -2.0, 9.0, 1.0)
        data = ct(seed=number)
        expected = mt.Orientation(axcodes="RAS", labels=None)(tensor(data, affine))
        assert np.array_equal(prepared(data, affine=affine), expected.numpy())
    equivalence.record(
        "monai.transforms.Orientation(axcodes='RAS')",
        "LoadNifti",
        tolerance="equal",
        worst=0.0,
        cases=len(ORIENTATIONS),
        differs="gpu_infer copies nothing: the result is a view with other strides.",
    )


@pytest.mark.parametrize(
    ("shape", "spacing", "target"),
    [
        ((17, 13, 9), (1.0, 1.5, 2.0), (0.5, 0.5, 0.5)),
        ((21, 16, 11), (1.0, 1.0, 3.0), (2.0, 3.0, 3.0)),
        ((11, 21, 6), (0.8, 0.8, 2.0), (0.8, 0.4, 2.0)),
    ],
)
def test_spacing(shape: Any, spacing: Any, target: Any, equivalence: Any) -> None:
    """Where the target divides the distance between the end samples: then both read the same places."""
    data, affine = ct(shape), np.diag([*spacing, 1.0])
    sizes = [round((n - 1) * s / t) + 1 for n, s, t in zip(shape, spacing, target, strict=True)]
    expected = mt.Spacing(pixdim=target, mode="bilinear", padding_mode="border", align_corners=True)(
        tensor(data, affine)
    )
    actual = prepared(data, ("ScaleToShape", {"target_shape": sizes}), affine=affine)
    equivalence.record(
        "monai.transforms.Spacing(mode='bilinear')",
        "ScaleBySpacing, ScaleByResolution",
        tolerance="1e-2 HU on a range of 2700, if both sizes are equal",
        worst=worst(actual, expected, 1e-2),
        differs="gpu_infer makes round(n·spacing/target) samples and keeps the first and last sample in place, as "
        "the Clara operator did (align_corners=false: the outer edges); MONAI keeps the first sample and the "
        "exact spacing, so sizes and positions differ unless the target divides the extent.",
    )


@pytest.mark.parametrize(("mode", "interpolation"), [("bilinear", "linear"), (3, "cubic")])
@pytest.mark.parametrize(
    "target",
    [
        (1.0, 1.0, 1.0),
        (0.55, 1.3, 3.1),
        (2.0, 0.6, 2.9),
        (0.7009, 1.3, 2.499),  # within 0.001 mm: MONAI keeps the spacing
        (0.7011, 1.3, 2.4975),
        (0.7009, 0.9, 2.4985),  # less than a thousandth, and no size changes: MONAI resamples nothing
        (0.7009, 0.9, 2.496),
    ],
)
def test_spacing_in_monais_placement(target: Any, mode: Any, interpolation: str, equivalence: Any) -> None:
    data, affine = ct((23, 19, 14)), np.diag([0.7, 0.9, 2.5, 1.0])
    padding = "border" if mode == "bilinear" else "nearest"
    expected = mt.Spacing(pixdim=target, mode=mode, padding_mode=padding, dtype=np.float64)(tensor(data, affine))
    args = {"target_spacing": list(target), "placement": "monai", "interpolation": interpolation}
    equivalence.record(
        f"monai.transforms.Spacing(mode={mode!r}), any target",
        f'ScaleBySpacing, ScaleByResolution with placement "monai", {interpolation}',
        tolerance="2.7e-2 HU on a range of 2700",
        worst=worst(prepared(data, ("ScaleBySpacing", args), affine=affine), expected, 2.7e-2),
    )


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("target", [(9, 20, 11), (34, 7, 5), (17, 14, 22)])
def test_resize(target: Any, align_corners: bool, equivalence: Any) -> None:
    data = ct()
    expected = mt.Resize(target, mode="trilinear", align_corners=align_corners)(tensor(data))
    actual = prepared(data, ("ScaleToShape", {"target_shape": list(target), "align_corners": align_corners}))
    equivalence.record(
        "monai.transforms.Resize, torch.nn.functional.interpolate(mode='trilinear')",
        "ScaleToShape",
        tolerance="1e-2 HU on a range of 2700",
        worst=worst(actual, expected, 1e-2),
    )


@pytest.mark.parametrize("k", [4, 16, (5, 8, 3)])
def test_divisible_pad(k: Any, equivalence: Any) -> None:
    data = ct()
    expected = mt.DivisiblePad(k, method="symmetric")(tensor(data))
    actual = prepared(data, ("SymmetricPadderDiv", {"div_int": k if isinstance(k, int) else list(k)}))
    equivalence.record(
        "monai.transforms.DivisiblePad", "SymmetricPadderDiv", tolerance="equal", worst=worst(actual, expected, 0.0)
    )


@pytest.mark.parametrize("size", [(8, 8, 8), (9, 5, 11), (30, 7, 4)])
def test_center_crop(size: Any, equivalence: Any) -> None:
    """Where what is cut off is even: then there is one middle."""
    data = ct(tuple(n - (n - s) % 2 if s < n else n for n, s in zip((17, 14, 11), size, strict=True)))
    expected = mt.CenterSpatialCrop(size)(tensor(data))
    actual = prepared(data, ("CropFixedSizeCenter", {"size": list(size)}))
    equivalence.record(
        "monai.transforms.CenterSpatialCrop",
        "CropFixedSizeCenter",
        tolerance="equal",
        worst=worst(actual, expected, 0.0),
        differs="gpu_infer begins at (n − size) // 2; MONAI one voxel later if n is even and size odd.",
    )


@pytest.mark.parametrize("margin", [0, 2])
def test_crop_foreground(margin: int, equivalence: Any) -> None:
    data = np.zeros((17, 14, 11), np.int16)
    data[5:12, 3:9, 4:7] = ct((7, 6, 3)) | 1
    data[data < 0] = 0
    expected = mt.CropForeground(select_fn=lambda x: x > 0, margin=margin, allow_smaller=True)(tensor(data))
    actual = prepared(data, ("CropForegroundObject", {"pad": margin}))
    equivalence.record(
        "monai.transforms.CropForeground(allow_smaller=True)",
        "CropForegroundObject",
        tolerance="equal",
        worst=worst(actual, expected, 0.0),
    )


def test_argmax_and_inverse(equivalence: Any) -> None:
    """Labels back on the file's grid through reorientation and an exact enlargement."""
    affine = np.diag([-2.0, -2.0, 4.0, 1.0])
    data = ct((9, 11, 6))
    chain = mt.Compose(
        [
            mt.Orientationd(keys="image", axcodes="RAS", labels=None),
            mt.Spacingd(keys="image", pixdim=(1.0, 1.0, 2.0), mode="bilinear", align_corners=True),
        ]
    )
    image = chain({"image": tensor(data, affine)})["image"]
    scores = torch.from_numpy(np.random.default_rng(3).random((4, *image.shape[1:]), np.float32))
    post = mt.Compose(
        [
            mt.AsDiscreted(keys="pred", argmax=True),
            mt.Invertd(keys="pred", transform=chain, orig_keys="image", nearest_interp=True, to_tensor=True),
        ]
    )
    expected = post({"image": image, "pred": MetaTensor(scores, meta=image.meta)})["pred"][0].numpy()
    actual = finished(
        data,
        [("ScaleToShape", {"target_shape": list(image.shape[1:])})],
        scores.argmax(0).numpy().astype(np.uint8),
        ("RestoreOriginalShape", {"field": "model", "src_field": "image"}),
        affine=affine,
    )
    assert np.array_equal(actual, expected)
    equivalence.record(
        "monai.transforms.AsDiscreted(argmax) and Invertd(nearest_interp=True)",
        "ArgmaxAcrossChannels and RestoreOriginalShape",
        tolerance="equal, if Spacing is equal",
        worst=0.0,
    )
