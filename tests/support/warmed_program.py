"""Warms up the CPU kernels and then runs chains of transforms; prints, as JSON, what the warm-up left to compile.

entries  by kernel: how many signatures the warm-up compiled or loaded
shared   kernels of both parts of the warm-up
later    kernels of which the chains needed more signatures
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
from transforms_finish import finish_fields
from transforms_oracle import accumulated, load, transform, volume_of

from gpu_infer.backends.cpu import kernels
from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.backends.cpu.kernels.entry_code import EntryCode
from gpu_infer.backends.cpu.warm_up import carry_out, common_steps
from gpu_infer.transforms.chain.pipeline import Pipeline

SHAPE = (8, 7, 6)
DTYPES = ("i2", "f4", "u2", "u1", "f8", "f2", ">i2")
"""The common ones, and those that kernels read as one of them."""

ONE_CUBIC_AXIS = ({"name": "ScaleToShape", "target_shape": [9, 7, 6], "interpolation": "cubic"},)
"""Not a common step of an FP16 model."""

PRES: tuple[tuple[dict[str, Any], ...], ...] = (
    (),
    ({"name": "ScaleBySpacing", "target_spacing": [1.3, 0.8, 1.1]}, {"name": "NormalizeNonzeroIntensities"}),
    ({"name": "ScaleBySpacing", "target_spacing": [1.3, 0.8, 1.1], "interpolation": "cubic", "clip": True},),
    ONE_CUBIC_AXIS,
    ({"name": "ScaleAsNnunet", "target_spacing": [1.3, 0.8, 1.1], "order": 3},),
    ({"name": "CropForegroundObject"}, {"name": "CenterData"}),
    ({"name": "NormalizeIntensity", "nonzero": True, "fill_holes": True},),
    ({"name": "NormalizeIntensity", "use_mask_for_norm": True},),
    ({"name": "ScaleIntensityRangePercentiles", "lower": 1, "upper": 99, "b_min": 0, "b_max": 1},),
    ({"name": "ScaleIntensity"}, {"name": "HistogramNormalize"}),
)
"""Steps on the image."""

THRESHOLD = {"name": "ThresholdValues", "threshold": 0.5}
ARGMAX = {"name": "ArgmaxAcrossChannels"}
POSTS: tuple[tuple[dict[str, Any], ...], ...] = (
    (ARGMAX,),
    ({"name": "RestoreOriginalShape", "src_field": "image"}, ARGMAX),
    (ARGMAX, {"name": "RestoreOriginalShape", "src_field": "image", "is_label": True}),
    (ARGMAX, {"name": "KeepLargestCC"}, {"name": "RelabelValues", "orig_labels": [1], "target_labels": [3]}),
    (ARGMAX, {"name": "RemoveSmallObjects", "min_size": 2}, {"name": "FillHoles"}),
    ({"name": "Softmax"}, THRESHOLD, {"name": "KeepLargestCC"}, {"name": "MergeMasks", "labels": [1, 2]}),
    ({"name": "Sigmoid"}, THRESHOLD, {"name": "MergeMasks", "labels": [1, 2]}),
)
"""Steps on the model's output."""


def _chain(steps: tuple[dict[str, Any], ...], field: str) -> Iterator[Any]:
    for step in steps:
        key = "field" if step["name"] in ("RestoreOriginalShape",) else "fields"
        yield transform(**{key: field, **step})


def signatures() -> dict[str, int]:
    """Of every function that Python calls in the modules of kernels."""
    found = {}
    for info in pkgutil.iter_modules(kernels.__path__):
        module = importlib.import_module(f"{kernels.__name__}.{info.name}")
        for name, value in vars(module).items():
            if isinstance(getattr(value, "_cache", None), EntryCode) and value.py_func.__module__ == module.__name__:
                found[f"{info.name}.{name}"] = len(value.signatures)
    return found


def run_chains() -> None:
    backend, random = CpuBackend(), np.random.default_rng(1)
    for stored in DTYPES:
        volume = volume_of(random.integers(0, 100, SHAPE).astype(stored), np.diag([1.0, 1.2, 1.5, 1.0]))
        for pre in PRES:
            for model in (np.float32,) if pre is ONE_CUBIC_AXIS else (np.float32, np.float16):
                pipeline = Pipeline([load(), *_chain(pre, "image")], list(_chain(POSTS[0], "model")))
                pipeline.prepare(volume, backend, model)
    pre = [load(), *_chain(PRES[1], "image")]
    for post in POSTS:
        pipeline = Pipeline(pre, list(_chain(post, "model")))
        fields = pipeline.prepare(volume, backend, np.float32)
        scores = random.normal(size=(2, *fields["image"].shape)).astype(np.float32)
        finish_fields(pipeline, accumulated(pipeline, scores), fields, backend)


def main() -> None:
    of_sums, of_volumes = common_steps()
    carry_out(of_sums, lambda name: None)
    first = signatures()
    carry_out(of_volumes, lambda name: None)
    entries = signatures()
    shared = [name for name, count in first.items() if 0 < count < entries[name]]
    run_chains()
    later = [name for name, count in signatures().items() if count > entries[name]]
    json.dump({"entries": entries, "shared": shared, "later": later}, sys.stdout)


if __name__ == "__main__":
    main()
