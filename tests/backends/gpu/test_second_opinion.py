"""Resampling and components of the GPU backend against cuCIM on the same device, and against scikit-image anywhere.

cuCIM's functions are scikit-image's on CuPy arrays: where there is no device the same comparison runs in the simulator.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from cudasim.simulated import simulated_cupy

from gpu_infer.backends.resampling import linear_table
from gpu_infer.backends.tables import ClampedAffine
from gpu_infer.errors import ConfigError


def _simulated() -> Iterator[Any]:
    from skimage.measure import label
    from skimage.transform import resize

    with simulated_cupy() as gpu:
        backend = gpu.GpuBackend()
        yield SimpleNamespace(backend=backend, label=label, resize=resize, there=lambda a: a, here=lambda a: a)


def _on_device() -> Iterator[Any]:
    for package in ("cupy", "cucim"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    import cupy

    from gpu_infer.backends.gpu.backend import GpuBackend

    try:
        backend = GpuBackend()
    except ConfigError as error:
        pytest.skip(error.message)
    from cucim.skimage.measure import label
    from cucim.skimage.transform import resize

    yield SimpleNamespace(backend=backend, label=label, resize=resize, there=cupy.asarray, here=cupy.asnumpy)


@pytest.fixture(scope="module", params=["scikit-image", pytest.param("cuCIM", marks=pytest.mark.gpu)])
def opinion(request: pytest.FixtureRequest) -> Iterator[Any]:
    yield from _simulated() if request.param == "scikit-image" else _on_device()


@pytest.mark.parametrize("target", [(40, 21, 33), (11, 50, 9), (23, 30, 17)])
def test_half_pixel_resampling(opinion: Any, target: tuple[int, int, int]) -> None:
    source = (np.random.default_rng(5).normal(size=(23, 30, 17)) * 300).astype(np.float32)
    backend = opinion.backend
    tables = tuple(linear_table(a, b, align_corners=False) for a, b in zip(source.shape, target, strict=True))
    out = backend.empty((1, *target), np.float32)
    backend.resample(backend.upload(source[None]), out, tables, ClampedAffine(), ClampedAffine())
    options = {"order": 1, "mode": "edge", "anti_aliasing": False, "preserve_range": True, "clip": False}
    # cuCIM computes coordinates in the type of its input: float32 would be off by 1.9e-3 of the 2e-3 that are allowed.
    exact = opinion.there(source.astype(np.float64))
    expected = opinion.here(opinion.resize(exact, target, **options))
    assert expected.dtype == np.float64
    np.testing.assert_allclose(backend.download(out)[0], expected, rtol=0, atol=2e-3)


@pytest.mark.parametrize("connectivity", [1, 2, 3])
def test_largest_components(opinion: Any, connectivity: int) -> None:
    labels = np.random.default_rng(connectivity).choice(4, p=(0.55, 0.15, 0.15, 0.15), size=(19, 24, 31))
    labels = labels.astype(np.uint8)
    numbers = opinion.here(
        opinion.label(opinion.there(labels.astype(np.int32)), background=0, connectivity=connectivity)
    )
    expected = np.zeros_like(labels)
    for value in (1, 2, 3):
        sizes = np.bincount(numbers[labels == value])
        # numbers rise in the order of the components' first voxels, so that argmax takes the first of equal ones
        expected[numbers == sizes.argmax()] = value
    out = opinion.backend.empty(labels.shape, np.uint8)
    opinion.backend.largest_components(opinion.backend.upload(labels), connectivity, None, out)
    np.testing.assert_array_equal(opinion.backend.download(out), expected)
    assert 0 < np.count_nonzero(expected) < np.count_nonzero(labels)
