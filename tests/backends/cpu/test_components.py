"""Connected components on the CPU: their memory, the numbers of large volumes, and the joints of slabs."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import ndimage
from traced_memory import traced

from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.backends.cpu.kernels import components as kernels
from gpu_infer.backends.cpu.kernels.components import Components
from gpu_infer.backends.labels import component_bytes

_SHAPE = (60, 70, 80)
_TABLES = 64 << 10
"""Bytes of tables that do not depend on the number of voxels."""


@pytest.mark.parametrize("connectivity", [1, 3])
@pytest.mark.parametrize("labels", [2, 5, 255])
@pytest.mark.parametrize("density", [0.02, 0.2, 0.31, 0.6, 1.0])
def test_noise_takes_no_more_memory_than_anything_else(density: float, labels: int, connectivity: int) -> None:
    rng = np.random.default_rng(7)
    noise = (rng.integers(1, labels, _SHAPE) * (rng.random(_SHAPE) < density)).astype(np.uint8)
    backend, out = CpuBackend(), np.empty_like(noise)
    backend.largest_components(noise[:2], connectivity, None, out[:2])  # compiled outside of the measurement
    _, peak = traced(lambda: backend.largest_components(noise, connectivity, None, out))
    planned = component_bytes(noise.size)
    assert planned == 8 * noise.size
    assert 0.6 * planned < peak <= planned + _TABLES


@pytest.mark.parametrize("slabs", [1, 2, 7])
@pytest.mark.parametrize("connectivity", [1, 2, 3])
def test_slabs_are_joined(slabs: int, connectivity: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the number of threads: with a component that winds through all slabs, and with noise."""
    monkeypatch.setattr(kernels.numba, "get_num_threads", lambda: slabs)
    rng = np.random.default_rng(slabs)
    labels = (rng.integers(1, 3, (21, 12, 13)) * (rng.random((21, 12, 13)) < 0.5)).astype(np.uint8)
    labels[:, 3, 3], labels[0, 3, 3:9], labels[:, 3, 9] = 1, 1, 1
    structure = ndimage.generate_binary_structure(3, connectivity)
    want = np.zeros_like(labels)
    for label in (1, 2):
        parts, _ = ndimage.label(labels == label, structure)
        want[parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])] = label
    out = np.empty_like(labels)
    CpuBackend().largest_components(labels, connectivity, None, out)
    assert_array_equal(out, want)


def test_volumes_of_more_voxels_than_32_bits_count_have_64_bits_for_them() -> None:
    assert component_bytes((1 << 32) - 1) == 8 * ((1 << 32) - 1)
    assert component_bytes(1 << 32) == 16 << 32
    labels = (np.random.default_rng(3).random((9, 8, 7)) < 0.4).astype(np.uint8)
    treated = np.array([0, *[1] * 255], np.uint8)
    results = []
    for number in (np.uint32, np.uint64):
        parts, out = Components(labels, 1, number), np.empty_like(labels)
        parts.choose_largest()
        parts.replace(parts.chosen, labels, treated, 0, out)
        results.append(out)
    assert 0 < results[0].sum() < labels.sum()
    assert_array_equal(results[0], results[1])
