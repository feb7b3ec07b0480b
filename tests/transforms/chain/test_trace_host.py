"""The bytes that a trace plans for pre-transforms, against those that NumPy allocates on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from traced_memory import traced
from transforms_oracle import ARGMAX, affine_of, load, transform, volume_of

from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.transforms.chain.pipeline import Pipeline

SLACK = 256 << 10  # tables and the interpreter's own objects
VOLUME = volume_of(
    np.random.default_rng(1).integers(0, 5, (90, 112, 85)).astype(np.int16),
    affine_of((2, 0, 1), (True, False, True), (1.0, 1.3, 0.9)),
)


def on(name: str, **args: Any) -> Any:
    return transform(name, fields="image", **args)


CHAINS: dict[str, list[Any]] = {
    "linear": [on("ScaleByFactor", factor=0.6)],
    "smoothed": [on("ScaleByFactor", factor=[0.3, 0.9, 0.5], anti_aliasing=True)],
    "smoothed, cubic": [on("ScaleByFactor", factor=0.5, anti_aliasing=True, interpolation="cubic", clip=True)],
    "measured, cubic": [on("NormalizeIntensity"), on("ScaleByFactor", factor=0.8, interpolation="cubic")],
    "non-zero": [on("NormalizeNonzeroIntensities")],
    "mask": [on("NormalizeIntensity", use_mask_for_norm=True)],
    "cubic, measured": [on("ScaleByFactor", factor=0.7, interpolation="cubic"), on("NormalizeIntensity", nonzero=True)],
}


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("chain", CHAINS)
def test_no_chain_holds_more_than_planned(chain: str, dtype: Any) -> None:
    pipeline, backend = Pipeline([load(), *CHAINS[chain]], ARGMAX), CpuBackend()
    _, first, *later = pipeline.trace(1, VOLUME.geometry, np.int16, dtype)
    assert first.existing == VOLUME.data.nbytes  # as uploaded, which the CPU does not copy
    planned = max(first.bytes, *(stage.existing + stage.bytes for stage in later), 0)
    expected = pipeline.prepare(VOLUME, backend, dtype)["image"].array.shape  # compiles the kernels
    fields, peak = traced(lambda: pipeline.prepare(VOLUME, backend, dtype))
    assert fields["image"].array.shape == expected
    assert peak <= planned + SLACK
