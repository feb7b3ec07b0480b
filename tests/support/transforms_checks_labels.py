"""Values and refusals of the transforms that make labels or work on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from pydantic import ValidationError
from scipy import ndimage, special
from skimage import morphology
from transforms_finish import finish, finish_fields
from transforms_oracle import (
    AFFINE,
    ARGMAX,
    BACKEND,
    RNG,
    STORED,
    accumulated,
    blank_field,
    load,
    prepared,
    probabilities,
    transform,
    volume_of,
)

from gpu_infer.errors import ConfigError
from gpu_infer.transforms.chain.pipeline import Pipeline

BLOBS = (ndimage.zoom(RNG.random((3, 3, 3)), 3, order=1)[:, :7, :5] * 4).astype(np.uint8)
LABELS = RNG.integers(0, 5, STORED.shape, dtype=np.uint8)


def finished(post: list[Any], result: np.ndarray, outputs: list[str] | None = None) -> dict[str, np.ndarray]:
    pipeline = Pipeline([load()], post, outputs=outputs)
    fields = pipeline.prepare(volume_of(STORED, AFFINE), BACKEND)
    return finish_fields(pipeline, accumulated(pipeline, result) if result.ndim == 4 else result, fields, BACKEND)


def check_threshold_values() -> None:
    scores = RNG.random((1, *STORED.shape), dtype=np.float32)
    scores[0, 0, 0, 0], scores[0, 0, 0, 1] = 0.5, np.nan
    got = finished([transform("ThresholdValues", fields="model", threshold=0.5)], scores)["model"]
    assert got.dtype == np.uint8
    assert_array_equal(got, scores[0] > 0.5)
    assert not got[0, 0, :2].any()
    # an image stays one, and can be scaled
    scale = transform("ScaleIntensityRange", fields="image", a_min=0, a_max=1, b_min=-1, b_max=1)
    image = prepared(load(), transform("ThresholdValues", fields="image", threshold=-10.5), scale)
    assert_array_equal(image[0], np.where(STORED > -10.5, 1.0, -1.0))
    # labels become one
    tumour = [*ARGMAX, transform("ThresholdValues", fields="model", threshold=2)]
    assert_array_equal(finished(tumour, LABELS)["model"], LABELS > 2)


def check_sigmoids() -> None:
    # logits next to that of the threshold, on both sides, as close as float32 allows
    for threshold in (0.5, 0.7, 0.3, 1e-6, 1 - 1e-6, 0.123456789):
        edge = np.float32(special.logit(threshold))
        logits = np.linspace(-20, 20, STORED.size, dtype=np.float32).reshape(1, *STORED.shape)
        near = [edge, np.nextafter(edge, np.float32(-99)), np.nextafter(edge, np.float32(99)), np.inf, -np.inf]
        logits[0, 0, 0, :] = near[: STORED.shape[2]]
        # logits have the order of their sigmoids; compared in float64, in which these differ
        want = logits[0].astype(np.float64) > special.logit(np.float64(threshold))
        sure = np.abs(special.expit(logits[0].astype(np.float64)) - threshold) > 1e-12
        assert_array_equal(want[sure], (special.expit(logits[0].astype(np.float64)) > threshold)[sure])
        fused = transform("ThresholdValues", fields="model", threshold=threshold, sigmoid=True)
        alone = transform("ThresholdAcrossChannels", fields="model", threshold=[threshold], sigmoid="true")
        scale = transform("ScaleIntensityRange", fields="model", a_min=0, a_max=1, b_min=0, b_max=1)
        for chain in ([fused], [alone], [scale, fused]):
            assert_array_equal(finished(chain, logits)["model"], want)
    assert transform("ThresholdValues", fields="model", threshold=0.5, sigmoid=True).thresholds == (0.0,)
    with pytest.raises(ConfigError, match="ThresholdValues: takes the sigmoid of scores, 'model' holds labels"):
        Pipeline([load()], [*ARGMAX, transform("ThresholdValues", fields="model", threshold=0.5, sigmoid=True)])
    for wrong in (0, 1, -0.1, 1.5):
        with pytest.raises(ValidationError, match="expected a threshold between 0 and 1, the range of a sigmoid"):
            transform("ThresholdValues", fields="model", threshold=wrong, sigmoid=True)
    with pytest.raises(ValidationError, match="expected a threshold between 0 and 1"):
        transform("ThresholdAcrossChannels", fields="model", threshold=[0.5, 1.0], sigmoid=True)


def check_threshold_across_channels() -> None:
    check_sigmoids()
    scores = RNG.random((3, *STORED.shape), dtype=np.float32)
    names = ["a", "b", "c"]
    split = transform("SplitAcrossChannels", field="model", channel_names=names)
    for threshold, each in ((0.3, (0.3, 0.3, 0.3)), ([0.2, 0.5, 0.9], (0.2, 0.5, 0.9))):
        masks = transform("ThresholdAcrossChannels", fields="model", threshold=threshold)
        got = finished([masks, split], scores, names)
        assert list(got) == names
        for channel, name in enumerate(names):
            assert got[name].dtype == np.uint8
            assert_array_equal(got[name], scores[channel] > np.float32(each[channel]))


def activated(name: str, scores: np.ndarray) -> np.ndarray:
    """[K, X, Y, Z] after the transform as a stage of its own."""
    original = scores.copy()
    field = blank_field(STORED.shape, "model", kind="scores", channels=len(scores), array=scores)
    got = transform(name, fields="model").apply(scores, field, BACKEND)
    assert_array_equal(scores, original)
    assert got.dtype == np.float32
    return np.asarray(got)


def check_softmax() -> None:
    scores = (RNG.normal(size=(4, *STORED.shape)) * 9).astype(np.float32)
    assert_allclose(activated("Softmax", scores), probabilities(scores, "softmax"), rtol=4e-6, atol=1e-38)
    # thresholds of probabilities: by the accumulator, and as a stage after another transform
    softmax, above = (
        transform("Softmax", fields="model"),
        transform("ThresholdAcrossChannels", fields="model", threshold=0.4),
    )
    scale = transform("ScaleIntensityRange", fields="model", a_min=0, a_max=1, b_min=0, b_max=0.5)
    split = transform("SplitAcrossChannels", field="model", channel_names=["a", "b", "c", "d"])
    for chain, halved in (([softmax], False), ([scale, softmax], True)):
        p = probabilities(scores * 0.5 if halved else scores, "softmax")
        got = finished([*chain, above, split], scores, ["a", "b", "c", "d"])
        for channel, name in enumerate("abcd"):
            sure = np.abs(p[channel] - 0.4) > 1e-5
            assert_array_equal(got[name][sure], (p[channel] > 0.4)[sure])
    # an argmax does not see it
    assert_array_equal(finished([softmax, *ARGMAX], scores)["model"], scores.argmax(0))
    with pytest.raises(ConfigError, match="Softmax: the model has one output channel, whose softmax is always 1"):
        Pipeline([load()], [softmax, above, split], outputs=["a"]).check_classes(1)
    with pytest.raises(ConfigError, match="Softmax: works on scores, 'model' holds labels"):
        Pipeline([load()], [*ARGMAX, softmax])
    with pytest.raises(ConfigError, match="Softmax: works on scores, 'image' holds an image"):
        Pipeline([load(), transform("Softmax", fields="image")], ARGMAX)


def check_sigmoid() -> None:
    scores = (RNG.normal(size=(2, *STORED.shape)) * 9).astype(np.float32)
    assert_allclose(activated("Sigmoid", scores), probabilities(scores, "sigmoid"), rtol=4e-6, atol=1e-38)
    sigmoid = transform("Sigmoid", fields="model")
    split = transform("SplitAcrossChannels", field="model", channel_names=["a", "b"])
    for thresholds in ([0.5, 0.7], [0.3, 0.999], [0.5, 1.0], [-0.5, 0.5]):
        above = transform("ThresholdAcrossChannels", fields="model", threshold=thresholds)
        got = finished([sigmoid, above, split], scores, ["a", "b"])
        for channel, name in enumerate("ab"):
            p = special.expit(scores[channel].astype(np.float64))
            sure = np.abs(p - thresholds[channel]) > 1e-6
            assert sure.any()
            assert_array_equal(got[name][sure], (p > thresholds[channel])[sure])


def check_split_across_channels() -> None:
    scores = RNG.random((2, *STORED.shape), dtype=np.float32)
    split = transform("SplitAcrossChannels", field="model", channel_names=["liver", "vessel"])
    above = transform("ThresholdValues", fields=["vessel", "liver"], threshold=0.4)
    got = finished([split, above], scores, ["vessel"])
    assert list(got) == ["vessel"]
    assert_array_equal(got["vessel"], scores[1] > 0.4)


def check_split_based_on_label() -> None:
    names = ["background", "liver", "tumour"]
    split = transform("SplitBasedOnLabel", field="model", label_names=names)
    got = finished([*ARGMAX, split], LABELS, [*names, "model"])
    assert_array_equal(got["model"], LABELS)
    for label, name in enumerate(names):
        assert_array_equal(got[name], label == LABELS)


def check_split_based_on_brats_classes() -> None:
    split = transform("SplitBasedOnBratsClasses", field="model")
    got = finished([*ARGMAX, split], LABELS, ["TC", "WT", "ET"])
    assert_array_equal(got["TC"], np.isin(LABELS, (1, 4)))
    assert_array_equal(got["WT"], np.isin(LABELS, (1, 2, 4)))
    assert_array_equal(got["ET"], LABELS == 4)
    split = transform("SplitBasedOnBratsClasses", field="model", class_names=["ET", "WC"])
    got = finished([*ARGMAX, split], LABELS, ["WC", "ET"])
    assert_array_equal(got["WC"], np.isin(LABELS, (1, 2, 4)))


def largest(labels: np.ndarray, connectivity: int, only: Any = None) -> np.ndarray:
    """One label after the other with scipy, whose components are numbered in scan order."""
    out = labels.copy()
    for label in np.unique(labels[labels > 0]) if only is None else only:
        parts, count = ndimage.label(labels == label, ndimage.generate_binary_structure(3, connectivity))
        if count:
            sizes = np.bincount(parts.ravel())[1:]
            out[(labels == label) & (parts != 1 + int(np.argmax(sizes)))] = 0
    return out


def check_keep_largest_cc() -> None:
    for labels in (LABELS, BLOBS, np.zeros_like(LABELS), np.full_like(LABELS, 2)):
        for connectivity in (1, 2, 3):
            keep = transform("KeepLargestCC", fields="model", connectivity=connectivity)
            assert_array_equal(finished([*ARGMAX, keep], labels)["model"], largest(labels, connectivity))
        keep = transform("KeepLargestCC", fields="model", applied_labels=[3, 1])
        assert_array_equal(finished([*ARGMAX, keep], labels)["model"], largest(labels, 1, (1, 3)))
        for only in (None, [2, 3]):
            foreground = labels > 0 if only is None else np.isin(labels, only)
            stays = largest(foreground.astype(np.uint8), 2) > 0
            keep = transform("KeepLargestCC", fields="model", independent=False, connectivity=2, applied_labels=only)
            got = finished([*ARGMAX, keep], labels)["model"]
            assert_array_equal(got, np.where(foreground & ~stays, 0, labels))


def check_remove_small_objects() -> None:
    def removed(labels: np.ndarray, mask: np.ndarray, least: int, connectivity: int) -> np.ndarray:
        stays = morphology.remove_small_objects(mask, max_size=least - 1, connectivity=connectivity)
        return np.where(mask & ~stays, 0, labels)

    for labels in (LABELS, BLOBS, np.zeros_like(LABELS)):
        for connectivity, least in ((1, 2), (1, 9), (2, 4), (3, 30)):
            small = {"fields": "model", "min_size": least, "connectivity": connectivity}
            want = labels
            for label in (1, 2, 3, 4):
                want = removed(want, labels == label, least, connectivity)
            assert_array_equal(finished([*ARGMAX, transform("RemoveSmallObjects", **small)], labels)["model"], want)
            joined = transform("RemoveSmallObjects", **small, independent_channels=False)
            want = removed(labels, labels > 0, least, connectivity)
            assert_array_equal(finished([*ARGMAX, joined], labels)["model"], want)
        some = transform("RemoveSmallObjects", fields="model", min_size=5, applied_labels=[2])
        assert_array_equal(finished([*ARGMAX, some], labels)["model"], removed(labels, labels == 2, 5, 1))
    # a voxel of 1.5·0.7·4.0 mm has 4.2 mm³
    bar = np.zeros_like(LABELS)
    bar[1:4, 2, 2], bar[6, 1, 1:5] = 1, 1
    for size, stays in ((12.6, (3, 4)), (12.61, (4,)), (16.8, (4,)), (16.9, ()), (1e12, ())):
        small = transform("RemoveSmallObjects", fields="model", min_size=size, by_measure=True)
        got = finished([*ARGMAX, small], bar)["model"]
        assert int(got.sum()) == sum(stays), size
    # on a grid of twice as many voxels along X, a voxel has 2.1 mm³, and 3 voxels are below 6.5 mm³
    finer = transform("ScaleByFactor", fields="image", factor=[2, 1, 1])
    pipeline = Pipeline(
        [load(), finer], [*ARGMAX, transform("RemoveSmallObjects", fields="model", min_size=6.5, by_measure=True)]
    )
    fields = pipeline.prepare(volume_of(STORED, AFFINE), BACKEND)
    labels = np.zeros((18, 7, 5), np.uint8)
    labels[2:5, 1, 1], labels[9:13, 3, 3] = 1, 2
    assert set(np.unique(finish(pipeline, labels, fields, BACKEND))) == {0, 2}


def check_fill_holes() -> None:
    shell = np.zeros_like(LABELS)
    shell[1:8, 1:6, :] = 2
    shell[3:5, 2:4, 2], shell[6, 4, 2], shell[2, 4, 0] = 0, 1, 0
    for labels in (shell, BLOBS, (LABELS > 0).astype(np.uint8), np.zeros_like(LABELS)):
        for connectivity, only in ((1, None), (2, None), (3, None), (1, [2]), (3, [7, 1])):
            want = labels.copy()
            for label in (1, 2, 3, 4) if only is None else sorted(only):
                structure = ndimage.generate_binary_structure(3, connectivity)
                if (want == label).any():
                    want[ndimage.binary_fill_holes(want == label, structure)] = label
            fill = transform("FillHoles", fields="model", connectivity=connectivity, applied_labels=only)
            assert_array_equal(finished([*ARGMAX, fill], labels)["model"], want)
    masks = np.stack([shell == 2, shell == 0, LABELS > 0]).astype(np.float32)
    above = transform("ThresholdValues", fields="model", threshold=0.5)
    split = transform("SplitAcrossChannels", field="model", channel_names=["a", "b", "c"])
    got = finished([above, transform("FillHoles", fields="model"), split], masks, ["a", "b", "c"])
    for mask, name in zip(masks, "abc", strict=True):
        assert_array_equal(got[name], ndimage.binary_fill_holes(mask > 0, np.ones((3, 3, 3))))


def check_relabel_values() -> None:
    for orig, target, dtype in (([1, 2], [2, 1], np.uint8), ([0, 3], [4, 0], np.uint8), (4, 300, np.uint16)):
        relabel = transform("RelabelValues", fields="model", orig_labels=orig, target_labels=target)
        got = finished([*ARGMAX, relabel], LABELS)["model"]
        want = LABELS.astype(int)
        for one, other in zip(np.atleast_1d(orig), np.atleast_1d(target), strict=True):
            want[one == LABELS] = other
        assert got.dtype == dtype
        assert_array_equal(got, want)
        # planned in the dtype that it has
        pipeline = Pipeline([load()], [*ARGMAX, relabel])
        stages = pipeline.trace(1, volume_of(STORED, AFFINE).geometry, np.int16, classes=5).stages
        assert stages[-1].dtype_out == dtype
        # many labels stay as they are
        wide = LABELS.astype(np.uint16) + 300
        wide[0, 0, 0] = 4
        got = finished(
            [*ARGMAX, transform("RelabelValues", fields="model", orig_labels=[302, 70], target_labels=[9, 8])], wide
        )
        assert_array_equal(got["model"], np.where(wide == 302, 9, wide))
    with pytest.raises(ValidationError, match="expected 2 labels, one for each of orig_labels"):
        transform("RelabelValues", fields="model", orig_labels=[1, 2], target_labels=[3])
    for wrong in (-1, 65536, 1.5, "x", []):
        with pytest.raises(ValidationError, match="expected labels of 0 to 65535"):
            transform("RelabelValues", fields="model", orig_labels=wrong, target_labels=[3])


def check_fetch_extreme_points() -> None:
    labels = np.zeros_like(LABELS)
    labels[2, 3, 1], labels[5, 1, 4], labels[5, 6, 2] = 1, 2, 1
    fetch = transform("FetchExtremePoints", image_field="image", label_field="model", points="ends")
    affine = np.array([[-1.5, 0, 0, 10.0], [0, 0.7, 0, 20.0], [0, 0, 4.0, 30.0], [0, 0, 0, 1]])
    pipeline = Pipeline([load()], [*ARGMAX, fetch])
    fields = pipeline.prepare(volume_of(STORED, affine), BACKEND)
    stored = finish(pipeline, labels, fields, BACKEND)
    assert_array_equal(stored, labels[::-1])  # nothing changes; the file's first axis runs to the left
    points = fields["image"].facts["points"]["ends"]
    # in the file's own indices: 9 voxels along x, seen backwards
    want = {
        "x_min": [6, 3, 1],
        "x_max": [3, 1, 4],
        "y_min": [3, 1, 4],
        "y_max": [3, 6, 2],
        "z_min": [6, 3, 1],
        "z_max": [3, 1, 4],
    }
    assert {p["end"]: p["index"] for p in points} == want
    assert points[0]["ras_mm"] == [10 - 1.5 * 6, 20 + 0.7 * 3, 30 + 4.0 * 1]
    empty = pipeline.prepare(volume_of(STORED, affine), BACKEND)
    finish(pipeline, np.zeros_like(labels), empty, BACKEND)
    assert empty["image"].facts["points"] == {"ends": []}


VALUES: dict[str, Callable[[], None]] = {
    "ThresholdValues": check_threshold_values,
    "ThresholdAcrossChannels": check_threshold_across_channels,
    "Softmax": check_softmax,
    "Sigmoid": check_sigmoid,
    "SplitAcrossChannels": check_split_across_channels,
    "SplitBasedOnLabel": check_split_based_on_label,
    "SplitBasedOnBratsClasses": check_split_based_on_brats_classes,
    "KeepLargestCC": check_keep_largest_cc,
    "RemoveSmallObjects": check_remove_small_objects,
    "FillHoles": check_fill_holes,
    "RelabelValues": check_relabel_values,
    "FetchExtremePoints": check_fetch_extreme_points,
}

REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "ThresholdValues": ({"fields": "model", "threshold": [0.5]}, "expected a finite number"),
    "ThresholdAcrossChannels": ({"fields": "model", "threshold": []}, "expected a number or a list of numbers"),
    "Softmax": ({"fields": ""}, "expected a name or a list of names"),
    "Sigmoid": ({"fields": []}, "expected a name or a list of names"),
    "SplitAcrossChannels": ({"field": "model", "channel_names": ["a", "a"]}, "expected every name once"),
    "SplitBasedOnLabel": ({"field": "model", "label_names": {}}, "expected a name or a list of names"),
    "SplitBasedOnBratsClasses": (
        {"field": "model", "class_names": ["NCR"]},
        'expected names out of TC, WT, ET, not "NCR"',
    ),
    "KeepLargestCC": ({"fields": "model", "connectivity": 6}, "expected 1 (faces), 2 (edges too) or 3 (corners too)"),
    "RemoveSmallObjects": (
        {"fields": "model", "min_size": 2.5},
        'expected a whole number of voxels, or mm³ with "by_measure": true',
    ),
    "FillHoles": ({"fields": "model", "applied_labels": [0]}, "expected label ids of at least 1, every one once"),
    "RelabelValues": ({"fields": "model", "orig_labels": [1, 1], "target_labels": [2, 3]}, "expected every label once"),
    "FetchExtremePoints": ({"image_field": "image", "label_field": ""}, "expected a non-empty string"),
}
