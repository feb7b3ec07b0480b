"""Random chains of all transforms that change voxels, that fit together on a volume with an empty margin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from transforms_oracle import affine_of, load, transform, volume_of

from gpu_infer.errors import ConfigError
from gpu_infer.transforms.chain.pipeline import Pipeline
from gpu_infer.volume.volume import Volume

CLASSES = 3
NAMES = ["a", "b", "c"]
Rng = np.random.Generator
Chain = list[Any]


def random_case(seed: int) -> tuple[Pipeline, Volume]:
    """A pipeline and a volume of one channel or two for it."""
    rng = np.random.default_rng(seed)
    volume = _volume(rng)
    while True:
        pre = [load()]
        for name in rng.choice(sorted(PRE), rng.integers(1, 5)):
            if name == "adaptive":
                pre.append(_on("ScaleIntensity"))
            pre.append(PRE[name](rng, volume))
        post, outputs = _post(rng)
        try:
            pipeline = Pipeline(pre, post, outputs=outputs)
            pipeline.trace(volume.channels, volume.geometry, volume.dtype, classes=CLASSES)
        except ConfigError:  # a grid that is too large, for one
            continue
        return pipeline, volume


def _volume(rng: Rng) -> Volume:
    shape = rng.permutation((82, 66, 54))
    data = np.zeros((rng.integers(1, 3), *shape), np.int16)
    inside = (slice(None), slice(4, -3), slice(5, -1), slice(2, -2))
    data[inside] = rng.integers(-2, 6, data[inside].shape)
    affine = affine_of(rng.permutation(3), rng.random(3) < 0.5, rng.permutation((0.9, 1.3, 2.9)))
    return volume_of(data, affine)


def _on(name: str, fields: Any = "image", **args: Any) -> Any:
    return transform(name, fields=fields, **args)


def _resampling(rng: Rng) -> dict[str, Any]:
    each = ["linear", "nearest", "cubic"]
    one = bool(rng.random() < 0.6)
    chosen: Any = str(rng.choice(each)) if one else [str(name) for name in rng.choice(each, 3)]
    return {
        "interpolation": chosen,
        "align_corners": bool(rng.random() < 0.5),
        "clip": "cubic" in chosen and bool(rng.random() < 0.5),
    }


def _monai_placement(rng: Rng) -> dict[str, Any]:
    return {"interpolation": str(rng.choice(["linear", "nearest", "cubic"])), "placement": "monai"}


def _spacing(rng: Rng) -> list[float]:
    return [float(v) for v in rng.uniform(0.8, 3.5, 3)]


PRE: dict[str, Callable[[Rng, Volume], Any]] = {
    "factor": lambda r, v: _on("ScaleByFactor", factor=[float(f) for f in r.uniform(0.5, 1.4, 3)], **_resampling(r)),
    "resolution": lambda r, v: _on("ScaleByResolution", target_resolution=_spacing(r), **_monai_placement(r)),
    "spacing": lambda r, v: _on("ScaleBySpacing", target_spacing=_spacing(r), **_resampling(r)),
    "shape": lambda r, v: _on("ScaleToShape", target_shape=[int(n) for n in r.integers(40, 90, 3)], **_resampling(r)),
    "nnunet grid": lambda r, v: _on("ScaleAsNnunet", target_spacing=_spacing(r), order=int(r.choice([0, 1, 3]))),
    "center": lambda r, v: _on("CropFixedSizeCenter", size=[int(n) for n in r.integers(30, 70, 3)]),
    "object": lambda r, v: _on("CropForegroundObject", threshold=0.5, pad=int(r.integers(0, 4))),
    "non-zero object": lambda r, v: _on("CropForegroundObject", nonzero=True, channel_indices=0),
    "pad": lambda r, v: _on("SymmetricPadderDiv", div_int=[int(n) for n in r.choice([4, 8, 16], 3)]),
    "range": lambda r, v: _on("ScaleIntensityRange", a_min=-2, a_max=5, b_min=0, b_max=1, clip=bool(r.random() < 0.5)),
    "percentile range": lambda r, v: _on(
        "ScaleIntensityRangePercentiles", lower=3, upper=96, b_min=0, b_max=1, channel_wise=bool(r.random() < 0.5)
    ),
    "measured range": lambda r, v: _on("ScaleIntensity", minv=-1, maxv=2, channel_wise=bool(r.random() < 0.5)),
    "clip": lambda r, v: _on("ClipIntensity", minv=-1, maxv=4),
    "clip percentiles": lambda r, v: _on("ClipIntensityPercentiles", lower=2, upper=98),
    "z-score": lambda r, v: _on("NormalizeIntensity", channel_wise=bool(r.random() < 0.5)),
    "masked z-score": lambda r, v: _on(
        "NormalizeIntensity", nonzero=True, fill_holes=bool(r.random() < 0.5), channel_wise=bool(r.random() < 0.5)
    ),
    "nnunet mask": lambda r, v: _on("NormalizeIntensity", use_mask_for_norm=True),
    "non-zero z-score": lambda r, v: _on("NormalizeNonzeroIntensities"),
    "nnunet schemes": lambda r, v: _on(
        "NormalizeAsNnunet",
        schemes=[str(s) for s in r.choice(["zscore", "masked_zscore", "rescale", "none"], v.channels)],
    ),
    "center data": lambda r, v: _on("CenterData"),
    "histogram": lambda r, v: _on("HistogramNormalize", num_bins=64, min=-1, max=1),
    "adaptive": lambda r, v: _on("EqualizeAdapthist", nbins=64),  # follows a ScaleIntensity
    "smoothed factor": lambda r, v: _on("ScaleByFactor", factor=float(r.uniform(0.4, 0.8)), anti_aliasing=True),
    "gaussian": lambda r, v: _on("GaussianSmooth", sigma=[float(s) for s in r.uniform(0.3, 1.5, 3)]),
    "median": lambda r, v: _on("MedianSmooth", radius=[int(n) for n in r.integers(0, 2, 3)]),
    "above": lambda r, v: _on("ThresholdValues", threshold=0.4),
}

SCORES: dict[str, Callable[[Rng], Any]] = {
    "softmax": lambda r: _on("Softmax", "model"),
    "sigmoid": lambda r: _on("Sigmoid", "model"),
    "range": lambda r: _on("ScaleIntensityRange", "model", a_min=0, a_max=1, b_min=0, b_max=2),
    "smooth": lambda r: _on("GaussianSmooth", "model", sigma=0.7),
    "scale": lambda r: _on("ScaleByFactor", "model", factor=float(r.uniform(0.7, 1.3))),
    "pad": lambda r: _on("SymmetricPadderDiv", "model", div_int=8),
    "restore": lambda r: transform("RestoreOriginalShape", field="model", src_field="image", is_label=False),
}

LABELS: dict[str, Callable[[Rng, Any], Any]] = {
    "largest": lambda r, f: _on("KeepLargestCC", f, connectivity=int(r.integers(1, 4))),
    "largest of all": lambda r, f: _on("KeepLargestCC", f, independent=False),
    "small": lambda r, f: _on("RemoveSmallObjects", f, min_size=float(r.uniform(3, 40)), by_measure=True),
    "small of all": lambda r, f: _on("RemoveSmallObjects", f, min_size=8, independent_channels=False),
    "fill": lambda r, f: _on("FillHoles", f, connectivity=int(r.integers(1, 4))),
    "morphology": lambda r, f: _on(
        "BinaryMorphology",
        f,
        operation=str(r.choice(["open", "close", "dilate", "erode"])),
        **({"radius": [1, 2, 0]} if r.random() < 0.5 else {"radius_mm": 2.0}),
    ),
    "relabel": lambda r, f: _on("RelabelValues", f, orig_labels=[1, 2], target_labels=[2, int(r.choice([1, 700]))]),
    "object": lambda r, f: _on("CropForegroundObject", f, pad=2),
    "center": lambda r, f: _on("CropFixedSizeCenter", f, size=45),
    "scale": lambda r, f: _on("ScaleByFactor", f, factor=1.2, is_label=True),
}
"""They take one field or several; those that change the grid do so for all of them alike."""


def _post(rng: Rng) -> tuple[Chain, list[str]]:
    """Scores, then labels or masks, then what becomes of them, and the fields to write."""
    chain = [SCORES[n](rng) for n in rng.choice(sorted(SCORES), rng.integers(0, 3), replace=False)]
    if rng.random() < 0.5:
        chain.append(_on("ArgmaxAcrossChannels", "model"))
        split = transform("SplitBasedOnLabel", field="model", label_names=NAMES)
    else:
        chain.append(_on("ThresholdAcrossChannels", "model", threshold=[0.3, 0.6, 0.9]))
        split = transform("SplitAcrossChannels", field="model", channel_names=NAMES)
    masks = chain[-1].name != "ArgmaxAcrossChannels"
    chain += _labels(rng, "model")
    if masks and rng.random() < 0.4:
        chain += [_on("MergeMasks", "model", labels=[2, int(rng.choice([3, 300])), 1]), *_labels(rng, "model")]
    elif masks or rng.random() < 0.4:
        chain += [split, *_labels(rng, NAMES)]
        if rng.random() < 0.5:
            chain.append(_on("MergeMasks", NAMES, labels=[3, 1, 2], merged_field="merged"))
            return [*chain, *_labels(rng, "merged")], ["merged"]
        return chain, [str(name) for name in rng.permutation(NAMES)[: rng.integers(1, 4)]]
    if rng.random() < 0.7:
        chain.append(transform("RestoreOriginalShape", field="model", src_field="image"))
        chain += _labels(rng, "model")
    return chain, ["model"]


def _labels(rng: Rng, fields: Any) -> Chain:
    return [LABELS[n](rng, fields) for n in rng.choice(sorted(LABELS), rng.integers(0, 3))]


_UNIT = ("ScaleIntensity", {})
"""Before members that take values of 0 to 1 alone."""

_WITH_FILTERS: list[list[tuple[str, dict[str, Any]]]] = [
    [("ScaleByFactor", {"factor": [0.7, 1.2, 0.9]})],
    [("ScaleByFactor", {"factor": 0.8, "interpolation": "cubic"})],
    [("CropFixedSizeCenter", {"size": [40, 44, 30]})],
    [("SymmetricPadderDiv", {"div_int": 16})],
    [("ScaleIntensityRange", {"a_min": 0, "a_max": 500, "b_min": 0, "b_max": 1, "clip": True})],
    [("ScaleIntensityRangePercentiles", {"lower": 1, "upper": 99, "b_min": 0, "b_max": 1})],
    [("NormalizeIntensity", {"nonzero": True})],
    [("HistogramNormalize", {"num_bins": 64})],
    [("GaussianSmooth", {"sigma": [0.5, 1.5, 1.0]})],
    [("MedianSmooth", {"radius": [1, 0, 1]})],
    [_UNIT, ("EqualizeAdapthist", {})],
    [_UNIT, ("EqualizeAdapthist", {"kernel_size": [9, 8, 20], "nbins": 64})],
    [_UNIT],
]


def filter_chain(seed: int) -> Chain:
    """Pre-transforms for one channel, many of them filters of libraries."""
    rng = np.random.default_rng(seed)
    picked = [_WITH_FILTERS[n] for n in rng.choice(len(_WITH_FILTERS), rng.integers(1, 6))]
    return [load(), *(transform(name, fields="image", **args) for group in picked for name, args in group)]
