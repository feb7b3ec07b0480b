"""Our transforms against MONAI's where both mean the same."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import monai.transforms as mt
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from peers_ours import BACKEND, finished, prepared

from gpu_infer.backends.base.backend import RollingSums
from gpu_infer.inferers.accumulator import MaskFinalizer, ScoreFinalizer
from gpu_infer.inferers.windows import make_grid
from gpu_infer.transforms.labels.sigmoid import Sigmoid
from gpu_infer.transforms.labels.softmax import Softmax
from gpu_infer.transforms.labels.threshold_across_channels import ThresholdAcrossChannels

RNG_SEED = 7
ORIENTATIONS = [
    (axes, flips) for axes in itertools.permutations(range(3)) for flips in itertools.product((1.0, -1.0), repeat=3)
]


def ct(shape: tuple[int, ...] = (17, 14, 11), seed: int = RNG_SEED) -> np.ndarray:
    return np.random.default_rng(seed).integers(-1200, 1500, shape).astype(np.int16)


def tensor(data: np.ndarray, affine: np.ndarray | None = None) -> MetaTensor:
    """What MONAI's loader makes of the voxels: float32 [C, I, J, K]."""
    data = data if data.ndim == 4 else data[None]
    return MetaTensor(torch.from_numpy(data.astype(np.float32)), affine=np.eye(4) if affine is None else affine)


def worst(actual: np.ndarray, expected: Any, tolerance: float) -> float:
    reference = np.asarray(expected)
    assert actual.shape == reference.shape
    difference = float(np.abs(actual.astype(np.float64) - reference).max())
    assert difference <= tolerance
    return difference


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
@pytest.mark.parametrize("target", [(1.0, 1.0, 1.0), (0.55, 1.3, 3.1), (2.0, 0.6, 2.9)])
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


@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize("window", [(-1500, 500, 0, 1), (-160, 240, -1, 1), (100, 900, 1, 0)])
def test_scale_intensity_range(window: Any, clip: bool, equivalence: Any) -> None:
    a_min, a_max, b_min, b_max = window
    data = ct()
    arguments = {"a_min": a_min, "a_max": a_max, "b_min": b_min, "b_max": b_max, "clip": clip}
    expected = mt.ScaleIntensityRange(**arguments)(tensor(data)).numpy()
    if clip and b_min > b_max:  # MONAI clips to an empty range there
        expected = np.clip(mt.ScaleIntensityRange(**(arguments | {"clip": False}))(tensor(data)).numpy(), b_max, b_min)
    equivalence.record(
        "monai.transforms.ScaleIntensityRange",
        "ScaleIntensityRange",
        tolerance="1e-5",
        worst=worst(prepared(data, ("ScaleIntensityRange", arguments)), expected, 1e-5),
        differs="With clip and b_min > b_max, gpu_infer clips to the range between them; MONAI's clip gives b_max "
        "everywhere.",
    )


def test_normalize_nonzero(equivalence: Any) -> None:
    data = ct()
    data[data < 0] = 0
    expected = mt.NormalizeIntensity(nonzero=True)(tensor(data))
    equivalence.record(
        "monai.transforms.NormalizeIntensity(nonzero=True)",
        "NormalizeNonzeroIntensities",
        tolerance="1e-5",
        worst=worst(prepared(data, ("NormalizeNonzeroIntensities", {})), expected, 1e-5),
    )


@pytest.mark.parametrize("channel_wise", [True, False])
@pytest.mark.parametrize("nonzero", [True, False])
def test_normalize_intensity(nonzero: bool, channel_wise: bool, equivalence: Any) -> None:
    data = np.stack([ct(), ct(seed=2) // 3 + 200])
    data[data < 0] = 0
    args = {"nonzero": nonzero, "channel_wise": channel_wise}
    equivalence.record(
        "monai.transforms.NormalizeIntensity(nonzero, channel_wise)",
        "NormalizeIntensity",
        tolerance="1e-5",
        worst=worst(prepared(data, ("NormalizeIntensity", args)), mt.NormalizeIntensity(**args)(tensor(data)), 1e-5),
    )


@pytest.mark.parametrize("channel_wise", [True, False])
@pytest.mark.parametrize("limits", [(0.0, 1.0), (-1.0, 2.5)])
def test_scale_intensity(limits: Any, channel_wise: bool, equivalence: Any) -> None:
    data = np.stack([ct(), ct(seed=2) // 3 + 200])
    args = {"minv": limits[0], "maxv": limits[1], "channel_wise": channel_wise}
    equivalence.record(
        "monai.transforms.ScaleIntensity",
        "ScaleIntensity",
        tolerance="1e-5",
        worst=worst(prepared(data, ("ScaleIntensity", args)), mt.ScaleIntensity(**args)(tensor(data)), 1e-5),
        differs="Voxels that are all equal become minv; MONAI multiplies them by it.",
    )


@pytest.mark.parametrize("given", [{"subtrahend": 120.0, "divisor": 350.0}, {}])
def test_center_data(given: Any, equivalence: Any) -> None:
    data = ct()
    expected = mt.NormalizeIntensity(**given)(tensor(data))
    equivalence.record(
        "monai.transforms.NormalizeIntensity(subtrahend, divisor)",
        "CenterData",
        tolerance="1e-5",
        worst=worst(prepared(data, ("CenterData", given)), expected, 1e-5),
    )


@pytest.mark.parametrize("threshold", [0.0, 40.5, -300.0])
def test_threshold(threshold: float, equivalence: Any) -> None:
    data = ct()
    expected = mt.AsDiscrete(threshold=threshold)(tensor(data)).numpy()
    expected[data[None] == threshold] = 0
    actual = prepared(data, ("ThresholdValues", {"threshold": threshold}))
    assert np.array_equal(actual, expected)
    equivalence.record(
        "monai.transforms.AsDiscrete(threshold)",
        "ThresholdValues, ThresholdAcrossChannels",
        tolerance="equal",
        worst=0.0,
        differs="gpu_infer gives 1 above the threshold (the Clara operator's rule), MONAI at or above it.",
    )


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.05])
def test_threshold_of_a_sigmoid(threshold: float, equivalence: Any) -> None:
    logits = np.random.default_rng(3).normal(scale=4, size=(3, 17, 14, 11)).astype(np.float32)
    sigmoid = mt.Activations(sigmoid=True)(tensor(logits))
    expected = mt.AsDiscrete(threshold=threshold)(sigmoid).numpy()
    shape = (17, 14, 11)
    above = ThresholdAcrossChannels(fields="model", threshold=[threshold] * 3, sigmoid=True)
    finalizer = MaskFinalizer(BACKEND, make_grid(shape, shape), above.thresholds)
    finalizer.finalize(RollingSums(logits.copy(), shape), (0, 0, 0), shape)
    # MONAI's sigmoid is rounded to float32, so that neighbours of the threshold fall onto it
    sure = np.abs(sigmoid.numpy() - threshold) > 1e-7
    assert np.array_equal(finalizer.result[sure], expected[sure])
    assert sure.mean() > 0.999
    equivalence.record(
        "monai.transforms.Activations(sigmoid), then AsDiscrete(threshold)",
        "ThresholdValues, ThresholdAcrossChannels (sigmoid)",
        tolerance="equal if the sigmoid is more than 1e-7 from the threshold",
        worst=0.0,
        differs="gpu_infer compares logits, so that no sigmoid is rounded.",
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


@pytest.mark.parametrize("connectivity", [1, 2, 3])
def test_keep_largest_component(connectivity: int, equivalence: Any) -> None:
    rng = np.random.default_rng(connectivity)
    cases = 6
    for _ in range(cases):
        labels = (rng.random((24, 20, 16)) < 0.25).astype(np.uint8) * rng.integers(1, 4, (24, 20, 16), np.uint8)
        expected = mt.KeepLargestConnectedComponent(
            applied_labels=[1, 2, 3], is_onehot=False, independent=True, connectivity=connectivity
        )(torch.from_numpy(labels[None]))
        actual = finished(labels, [], None, ("KeepLargestCC", {"connectivity": connectivity}))
        sizes = [np.count_nonzero(actual == label) for label in (1, 2, 3)]
        assert sizes == [int((expected == label).sum()) for label in (1, 2, 3)]
        # of components of one size, either may stay
        unique = [_is_unique(labels == label, connectivity) for label in (1, 2, 3)]
        for label, one in zip((1, 2, 3), unique, strict=True):
            if one:
                assert np.array_equal(actual == label, (expected[0] == label).numpy())
    equivalence.record(
        "monai.transforms.KeepLargestConnectedComponent",
        "KeepLargestCC",
        tolerance="equal",
        worst=0.0,
        cases=cases,
        differs="Voxels connect through faces by default (MONAI: also corners); of components of equal size, the "
        "first in scan order is kept.",
    )


def test_largest_component_of_all_labels(equivalence: Any) -> None:
    cases = 6
    for seed in range(cases):
        labels = blobs(seed)
        expected = mt.KeepLargestConnectedComponent(is_onehot=False, independent=False, connectivity=1)(
            torch.from_numpy(labels[None])
        )
        actual = finished(labels, [], None, ("KeepLargestCC", {"independent": False}))
        assert _is_unique(labels > 0, 1)
        assert np.array_equal(actual, expected[0].numpy())
    equivalence.record(
        "monai.transforms.KeepLargestConnectedComponent(independent=False)",
        "KeepLargestCC (independent false)",
        tolerance="equal",
        worst=0.0,
        cases=cases,
    )


def blobs(seed: int, width: float = 1.2) -> np.ndarray:
    """Labels 0 to 3 in lumps of some voxels."""
    from scipy import ndimage

    smooth = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(24, 20, 16)), width)
    return np.digitize(smooth, np.quantile(smooth, [0.45, 0.7, 0.9])).astype(np.uint8)


def absent_size(mask: np.ndarray, connectivity: int) -> int:
    """From 8 on, the first number of voxels that no component has."""
    from scipy import ndimage

    parts, _ = ndimage.label(mask, ndimage.generate_binary_structure(3, connectivity))
    sizes = set(np.bincount(parts.ravel())[1:].tolist())
    return next(size for size in range(8, 1000) if size not in sizes)


@pytest.mark.parametrize("connectivity", [1, 2, 3])
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_remove_small_objects(connectivity: int, equivalence: Any) -> None:
    cases = 4
    affine, changed = np.diag([0.5, 0.8, 2.0, 1.0]), Counter[tuple[str, ...]]()
    for seed in range(cases):
        labels = blobs(seed)
        one, two = (labels == 2).astype(np.uint8), np.where(labels > 1, labels, np.uint8(0))
        size = absent_size(one, connectivity)
        for labelled, args in (
            (one, {"min_size": size}),
            (two, {"min_size": absent_size(two > 0, connectivity), "independent_channels": False}),
            (one, {"min_size": (size - 0.5) * 0.8, "by_measure": True}),
        ):
            args = {**args, "connectivity": connectivity}
            expected = mt.RemoveSmallObjects(**args)(tensor(labelled, affine)).numpy()[0]
            actual = finished(labelled, [], None, ("RemoveSmallObjects", args), affine=affine)
            assert np.array_equal(actual, expected)
            changed[tuple(args)] += int((actual != labelled).sum())
    assert min(changed.values()) > 10
    equivalence.record(
        "monai.transforms.RemoveSmallObjects",
        "RemoveSmallObjects",
        tolerance="equal",
        worst=0.0,
        cases=3 * cases,
        differs="A component of exactly min_size voxels stays; with scikit-image 0.26, MONAI removes it. Of a map of "
        "several labels, gpu_infer takes the connected components of each label; MONAI counts all voxels of a label as "
        "one object.",
    )


@pytest.mark.parametrize("connectivity", [1, 2, 3])
def test_fill_holes(connectivity: int, equivalence: Any) -> None:
    cases, changed = 4, 0
    for seed in range(cases):
        labels = blobs(seed, 3.0)
        labels[np.random.default_rng(seed).random(labels.shape) < 0.03] = 0
        for applied in (None, [2]):
            expected = mt.FillHoles(applied_labels=applied, connectivity=connectivity)(
                torch.from_numpy(labels[None].copy())
            )
            args = {"connectivity": connectivity, "applied_labels": applied}
            actual = finished(labels, [], None, ("FillHoles", args))
            assert np.array_equal(actual, expected[0].numpy())
            changed += int((actual != labels).sum())
    assert changed > 10
    equivalence.record("monai.transforms.FillHoles", "FillHoles", tolerance="equal", worst=0.0, cases=2 * cases)


def test_relabel_values(equivalence: Any) -> None:
    labels = blobs(3)
    expected = mt.MapLabelValue([1, 2, 3], [3, 0, 1])(torch.from_numpy(labels[None]))
    actual = finished(labels, [], None, ("RelabelValues", {"orig_labels": [1, 2, 3], "target_labels": [3, 0, 1]}))
    assert np.array_equal(actual, np.asarray(expected)[0])
    equivalence.record("monai.transforms.MapLabelValue", "RelabelValues", tolerance="equal", worst=0.0)


@pytest.mark.parametrize("name", ["Softmax", "Sigmoid"])
def test_activations(name: str, equivalence: Any) -> None:
    logits = np.random.default_rng(3).normal(scale=4, size=(3, 17, 14, 11)).astype(np.float32)
    expected = mt.Activations(**{name.lower(): True})(tensor(logits))
    activation = {"Softmax": Softmax, "Sigmoid": Sigmoid}[name].activation
    shape = (17, 14, 11)
    finalizer = ScoreFinalizer(BACKEND, make_grid(shape, shape), 3, activation)
    finalizer.finalize(RollingSums(logits.copy(), shape), (0, 0, 0), shape)
    equivalence.record(
        "monai.transforms.Activations(softmax, sigmoid)",
        "Softmax, Sigmoid",
        tolerance="1e-6",
        worst=worst(finalizer.result, expected, 1e-6),
    )


def _is_unique(mask: np.ndarray, connectivity: int) -> bool:
    from scipy import ndimage

    actual, count = ndimage.label(mask, ndimage.generate_binary_structure(3, connectivity))
    sizes = np.sort(np.bincount(actual.ravel(), minlength=count + 1)[1:])
    return count < 2 or sizes[-1] > sizes[-2]


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
