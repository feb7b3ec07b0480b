"""Chains of crops, pads and resamplings run on our own kernels: an assignment to a CuPy array has CuPy compile one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from cudasim import arrays
from cudasim.simulated import simulated_cupy
from transforms_oracle import load, transform, volume_of

from gpu_infer.backends.cpu import CpuBackend
from gpu_infer.transforms.plan import Pipeline

PRE: dict[str, tuple[str, dict[str, Any]]] = {
    "scale": ("ScaleByFactor", {"factor": [0.7, 1.3, 0.9]}),
    "scale back": ("ScaleByFactor", {"factor": 1.2, "align_corners": False}),
    "crop": ("CropFixedSizeCenter", {"size": [9, 7, 8]}),
    "object": ("CropForegroundObject", {"threshold": 0.5}),
    "pad": ("SymmetricPadderDiv", {"div_int": 8}),
    "zscore": ("NormalizeNonzeroIntensities", {}),
    "range": ("ScaleIntensityRange", {"a_min": 0, "a_max": 1, "b_min": -1, "b_max": 1, "clip": True}),
}
CHAINS = [
    ["crop", "pad"],
    ["object", "scale", "range"],
    ["scale", "crop", "zscore", "pad"],
    ["zscore", "crop", "scale back", "object"],
    ["pad", "scale", "crop", "scale back"],
]


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    def refuse(self: Any, key: Any, value: Any) -> None:
        raise AssertionError("an assignment to an array on the device")

    monkeypatch.setattr(arrays.ndarray, "__setitem__", refuse)
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
    found = []
    for backend in (gpu, CpuBackend()):
        pipeline = Pipeline(pre, post)
        fields = pipeline.prepare(volume, backend)
        shape = fields["image"].shape
        scores = np.random.default_rng(5).normal(size=(3, *shape)).astype(np.float32)
        result = scores
        if pipeline.finisher == "argmax":  # the accumulator's part
            result = scores.argmax(0).astype(np.uint8)
        found.append(backend.download(pipeline.finish(backend.upload(result), fields, backend)))
    np.testing.assert_array_equal(found[0], found[1])
    assert found[0].shape == (12, 11, 13)
