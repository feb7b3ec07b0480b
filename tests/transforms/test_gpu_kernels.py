"""Chains of transforms run on our kernels: CuPy would compile one for an assignment or a comparison of its arrays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from cudasim import arrays
from cudasim.simulated import simulated_cupy
from transforms_finish import finish, finish_fields
from transforms_oracle import accumulated, affine_of, load, transform, volume_of

from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.transforms.chain.pipeline import Pipeline

PRE: dict[str, tuple[str, dict[str, Any]]] = {
    "scale": ("ScaleByFactor", {"factor": [0.7, 1.3, 0.9]}),
    "scale back": ("ScaleByFactor", {"factor": 1.2, "align_corners": False}),
    "smooth": ("ScaleByFactor", {"factor": [0.4, 1.1, 0.6], "anti_aliasing": True}),
    "smooth, cubic": (
        "ScaleByFactor",
        {"factor": [0.5, 0.4, 0.7], "interpolation": "cubic", "anti_aliasing": True, "clip": True},
    ),
    "crop": ("CropFixedSizeCenter", {"size": [9, 7, 8]}),
    "object": ("CropForegroundObject", {"threshold": 0.5}),
    "pad": ("SymmetricPadderDiv", {"div_int": 8}),
    "zscore": ("NormalizeNonzeroIntensities", {}),
    "each zscore": ("NormalizeIntensity", {"nonzero": True, "channel_wise": True}),
    "percentiles": ("ScaleIntensityRangePercentiles", {"lower": 2, "upper": 97.5, "b_min": 0, "b_max": 1}),
    "clip percentiles": ("ClipIntensityPercentiles", {"upper": 90, "channel_wise": True}),
    "equalise": ("HistogramNormalize", {"num_bins": 40, "min": -1, "max": 1}),
    "holes": ("NormalizeIntensity", {"nonzero": True, "fill_holes": True}),
    "nnunet": ("NormalizeIntensity", {"use_mask_for_norm": True}),
    "channels as nnunet": ("NormalizeAsNnunet", {"schemes": ["ct"], "foreground": [[0.1, 0.8, 0.4, 0.2]]}),
    "masked as nnunet": ("NormalizeAsNnunet", {"schemes": ["masked_zscore"]}),
    "as nnunet": ("ScaleAsNnunet", {"target_spacing": [0.8, 1.3, 1.1]}),
    "as nnunet, thick": ("ScaleAsNnunet", {"target_spacing": [1.3, 0.8, 3.5]}),
    "nonzero object": ("CropForegroundObject", {"nonzero": True, "channel_indices": 0}),
    "measured": ("ScaleIntensity", {"minv": -1}),
    "clip": ("ClipIntensity", {"minv": -0.5, "maxv": 0.8}),
    "above": ("ThresholdValues", {"threshold": 0.3}),
    "range": ("ScaleIntensityRange", {"a_min": 0, "a_max": 1, "b_min": -1, "b_max": 1, "clip": True}),
}
CHAINS = [
    ["crop", "pad"],
    ["object", "scale", "range"],
    ["scale", "crop", "zscore", "pad"],
    ["zscore", "crop", "scale back", "object"],
    ["pad", "scale", "crop", "scale back"],
    ["measured", "crop", "clip", "scale", "each zscore"],
    ["scale", "above", "object", "range"],
    ["nonzero object", "nnunet", "scale", "clip percentiles"],
    ["nonzero object", "nnunet", "as nnunet"],
    ["above", "equalise", "scale", "equalise", "pad"],
    ["nonzero object", "channels as nnunet", "as nnunet, thick", "clip"],
    ["nonzero object", "masked as nnunet", "scale"],
    ["smooth", "crop", "zscore"],
    ["crop", "measured", "smooth, cubic", "range"],
    ["above", "holes", "pad", "percentiles", "nonzero object"],
]
NAMES = ["a", "b", "c"]
FETCH = ("FetchExtremePoints", {"image_field": "image", "label_field": "model"})
RESTORE = ("RestoreOriginalShape", {"field": "model", "src_field": "image"})
LINEAR = ("RestoreOriginalShape", {"field": "model", "src_field": "image", "is_label": False})
RESTORE_EACH = [("RestoreOriginalShape", {"field": name, "src_field": "image"}) for name in NAMES]
ARGMAX = ("ArgmaxAcrossChannels", {"fields": "model"})
OBJECT = ("CropForegroundObject", {"fields": "model", "pad": 1})
POSTS: dict[str, tuple[int, list[str], list[tuple[str, dict[str, Any]]]]] = {
    "threshold": (1, ["model"], [("ThresholdValues", {"fields": "model", "threshold": 1.5}), OBJECT, FETCH, RESTORE]),
    "threshold restored": (1, ["model"], [RESTORE, ("ThresholdValues", {"fields": "model", "threshold": 0.7})]),
    "scores restored": (1, ["model"], [LINEAR, ("ThresholdValues", {"fields": "model", "threshold": 0.4})]),
    "channels": (
        3,
        NAMES,
        [
            ("ThresholdAcrossChannels", {"fields": "model", "threshold": [1.9, 2.2, 2.5]}),
            FETCH,
            OBJECT,
            ("SplitAcrossChannels", {"field": "model", "channel_names": NAMES}),
            *RESTORE_EACH,
        ],
    ),
    "labels": (5, NAMES, [ARGMAX, RESTORE, ("SplitBasedOnLabel", {"field": "model", "label_names": NAMES}), FETCH]),
    "many labels": (
        300,
        ["c", "l290"],
        [ARGMAX, ("SplitBasedOnLabel", {"field": "model", "label_names": [*NAMES, *(f"l{n}" for n in range(3, 295))]})],
    ),
    "probabilities": (
        3,
        NAMES,
        [
            ("Softmax", {"fields": "model"}),
            ("ThresholdAcrossChannels", {"fields": "model", "threshold": 0.2}),
            ("SplitAcrossChannels", {"field": "model", "channel_names": NAMES}),
            *RESTORE_EACH,
        ],
    ),
    "probabilities of scaled scores": (
        2,
        ["model"],
        [
            ("ScaleIntensityRange", {"fields": "model", "a_min": 0, "a_max": 1, "b_min": 0, "b_max": 3}),
            ("Sigmoid", {"fields": "model"}),
            LINEAR,
            ("ThresholdAcrossChannels", {"fields": "model", "threshold": 0.6}),
            ("FillHoles", {"fields": "model", "connectivity": 1}),
            ("MergeMasks", {"fields": "model", "labels": [3, 500], "order": [1, 0]}),
        ],
    ),
    "objects": (
        4,
        ["model"],
        [
            ARGMAX,
            ("RemoveSmallObjects", {"fields": "model", "min_size": 4, "independent_channels": False}),
            ("RemoveSmallObjects", {"fields": "model", "min_size": 6, "by_measure": True}),
            ("FillHoles", {"fields": "model"}),
            ("KeepLargestCC", {"fields": "model", "independent": False}),
            ("RelabelValues", {"fields": "model", "orig_labels": [1, 2], "target_labels": [2, 1]}),
            RESTORE,
        ],
    ),
    "grown and shrunk": (
        3,
        ["model"],
        [
            ARGMAX,
            ("BinaryMorphology", {"fields": "model", "operation": "open", "radius": [1, 1, 0]}),
            ("BinaryMorphology", {"fields": "model", "operation": "dilate", "radius_mm": 3.1, "applied_labels": 2}),
            RESTORE,
        ],
    ),
    "brats": (5, ["TC", "ET", "WT"], [ARGMAX, FETCH, RESTORE, ("SplitBasedOnBratsClasses", {"field": "model"})]),
}


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    def refuse(self: Any, key: Any, value: Any) -> None:
        raise AssertionError("an assignment to an array on the device")

    def refuse_to_compare(self: Any, other: Any) -> bool:
        raise AssertionError("a comparison of an array on the device")

    monkeypatch.setattr(arrays.ndarray, "__setitem__", refuse)
    for name in ("__eq__", "__ne__"):  # other operators the stand-in has not
        monkeypatch.setattr(arrays.ndarray, name, refuse_to_compare)
    with simulated_cupy() as module:
        yield module.GpuBackend()


@pytest.mark.parametrize("is_label", [True, False])
@pytest.mark.parametrize("chain", CHAINS, ids="-".join)
def test_no_kernel_of_cupys_is_needed(gpu: Any, chain: list[str], is_label: bool) -> None:
    pre = [load(), *(transform(PRE[name][0], fields="image", **PRE[name][1]) for name in chain)]
    restore = transform("RestoreOriginalShape", field="model", src_field="image", is_label=is_label)
    argmax = transform("ArgmaxAcrossChannels", fields="model")
    keep = transform("KeepLargestCC", fields="model")
    post = [argmax, restore, keep] if is_label else [restore, argmax, keep]
    volume = volume_of(np.random.default_rng(4).random((12, 11, 13), dtype=np.float32))
    results = []
    for backend in (gpu, CpuBackend()):
        pipeline = Pipeline(pre, post)
        fields = pipeline.prepare(volume, backend)
        shape = fields["image"].shape
        scores = np.random.default_rng(5).normal(size=(3, *shape)).astype(np.float32)
        result = accumulated(pipeline, scores)
        results.append(backend.download(finish(pipeline, backend.upload(result), fields, backend)))
    np.testing.assert_array_equal(results[0], results[1])
    assert results[0].shape == (12, 11, 13)


@pytest.mark.parametrize("name", POSTS)
def test_nor_for_masks_and_extents(gpu: Any, name: str) -> None:
    classes, outputs, chain = POSTS[name]
    pre = [load(), transform("ScaleByFactor", fields="image", factor=[0.7, 1.3, 0.9])]
    affine = affine_of((2, 0, 1), (True, False, True), (1.0, 2.0, 3.0))
    volume = volume_of(np.random.default_rng(4).random((12, 11, 13), dtype=np.float32), affine)
    results, points = [], []
    for backend in (gpu, CpuBackend()):
        pipeline = Pipeline(pre, [transform(kind, **args) for kind, args in chain], outputs=outputs)
        fields = pipeline.prepare(volume, backend)
        scores = np.random.default_rng(5).normal(size=(classes, *fields["image"].shape)).astype(np.float32)
        labels = finish_fields(pipeline, backend.upload(accumulated(pipeline, scores)), fields, backend)
        results.append([backend.download(labels[output]) for output in outputs])
        points.append(fields["image"].facts.get("points"))
    np.testing.assert_array_equal(results[0], results[1])
    assert all(0 < (mask > 0).mean() < 1 and mask.shape == (12, 11, 13) for mask in results[0])
    assert points[0] == points[1]
