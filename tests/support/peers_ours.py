"""Our transforms on an array, as a chain of a configuration runs them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transforms_finish import finish

from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.transforms.chain.pipeline import Pipeline
from gpu_infer.transforms.registry import TRANSFORMS
from gpu_infer.volume.geometry import Geometry
from gpu_infer.volume.volume import Volume

BACKEND = CpuBackend()
Component = tuple[str, dict[str, Any]]


def volume_of(data: NDArray[Any], affine: NDArray[np.float64] | None = None) -> Volume:
    """A volume from [C, I, J, K] or [I, J, K]."""
    data = data if data.ndim == 4 else data[None]
    return Volume(data, Geometry(data.shape[1:], np.eye(4) if affine is None else affine), Path("x.nii"), "nifti")


def _pipeline(pre: list[Component], post: list[Component]) -> Pipeline:
    load: list[Component] = [("LoadNifti", {"fields": "image"}), ("ConvertToChannelsFirst", {"fields": "image"})]
    argmax: list[Component] = [("ArgmaxAcrossChannels", {"fields": "model"})]
    return Pipeline(
        [TRANSFORMS[name](**args) for name, args in load + pre],
        [TRANSFORMS[name](**args) for name, args in argmax + post],
    )


def prepared(data: NDArray[Any], *chain: Component, affine: NDArray[np.float64] | None = None) -> NDArray[np.float32]:
    """float32 [C, X, Y, Z] after `chain`, whose transforms receive the field "image"."""
    pre = [(name, {"fields": "image"} | args) for name, args in chain]
    actual: NDArray[np.float32] = _pipeline(pre, []).prepare(volume_of(data, affine), BACKEND)["image"].array
    return actual


def finished(
    data: NDArray[Any],
    pre: list[Component],
    labels: NDArray[Any] | None,
    *chain: Component,
    affine: NDArray[np.float64] | None = None,
) -> NDArray[Any]:
    """Labels [I, J, K] on the grid of `data` after `chain` on the field "model".

    `labels` [X, Y, Z] are on the grid after `pre`; None: the labels are the rounded data after `pre`.
    """
    post = [(name, ({"fields": "model"} if name != "RestoreOriginalShape" else {}) | args) for name, args in chain]
    pipeline = _pipeline([(name, {"fields": "image"} | args) for name, args in pre], post)
    fields = pipeline.prepare(volume_of(data, affine), BACKEND)
    if labels is None:
        labels = fields["image"].array[0].round().astype(np.uint8)
    return np.asarray(finish(pipeline, labels, fields, BACKEND))
