from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

from gpu_infer.backends import base
from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.backends.resampling import identity_table
from gpu_infer.backends.tables import ClampedAffine

_GROUPS = ("prepare", "windows", "labels", "label_statistics", "masks", "scores")


class WithoutKernels(CpuBackend):
    """Fails in every method that a public operation calls."""

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("_") and not name.startswith("__"):
            raise AssertionError(f"{name} was called")
        return super().__getattribute__(name)


def test_the_types_that_custom_transforms_import() -> None:
    from gpu_infer.backends.base import Array, Backend, Moments, OccupiedPlanes, RollingSums, Start, Tables
    from gpu_infer.backends.base import backend as module

    for name in ("Array", "Backend", "Moments", "OccupiedPlanes", "RollingSums", "Start", "Tables"):
        assert getattr(module, name) is getattr(base, name)
    assert None not in (Array, Backend, Moments, OccupiedPlanes, RollingSums, Start, Tables)


def test_a_backend_needs_every_kernel() -> None:
    with pytest.raises(TypeError, match="abstract"):
        base.Backend()  # type: ignore[abstract]


@pytest.mark.parametrize("group", _GROUPS)
def test_no_backend_overrides_a_public_operation(group: str) -> None:
    """Checks and special cases exist once, in the base class."""
    module = __import__(f"gpu_infer.backends.base.{group}", fromlist=[group])
    (operations,) = (
        kind
        for name, kind in vars(module).items()
        if name.endswith("Operations") and kind.__module__ == module.__name__
    )
    public = [name for name, method in inspect.getmembers(operations, inspect.isfunction) if not name.startswith("_")]
    assert public
    for name in public:
        method = getattr(operations, name)
        if not getattr(method, "__isabstractmethod__", False):
            assert getattr(CpuBackend, name) is method


def test_empty_arrays_need_no_kernel() -> None:
    backend = WithoutKernels.__new__(WithoutKernels)
    empty, labels = np.zeros((1, 0, 2, 3), np.float32), np.zeros((0, 2, 3), np.uint8)
    identity = ClampedAffine()
    backend.resample(empty, empty.copy(), None, identity, identity)
    assert backend.masked_moments(empty, True) == (0, 0.0, 0.0)
    backend.masked_affine(empty, empty, identity)
    backend.gather(empty, [], np.zeros((2, 1, 2, 2, 2), np.float32), 0.0)
    backend.argmax(empty, labels)
    backend.restore_argmax(np.zeros((1, 1, 2, 3), np.float32), (_none(), identity_table(2), identity_table(3)), labels)
    backend.largest_components(labels, 1, None, labels)
    assert backend.histogram(labels).tolist() == []
    assert backend.label_statistics(labels, empty[0], [1]) == {}
    backend.threshold(empty, empty, 0.0)
    backend.lookup(labels[None], np.zeros(256, np.uint8), labels[None])
    backend.repaint(labels, 1, labels)
    assert backend.label_boxes(labels, [1]) == {}
    assert [planes.tolist() for planes in backend.occupied_planes(empty, 0.0)] == [[], [False] * 2, [False] * 3]


def _none() -> Any:
    table = identity_table(1)
    return type(table)(table.lower[:0], table.upper[:0], table.weight[:0])


def test_the_abilities_of_a_device_have_defaults() -> None:
    backend = CpuBackend()
    backend.start_run()
    backend.reserve(1 << 20, beside=1)
    assert (backend.counters(), backend.identity(), backend.device_arena(1)) == ({}, None, None)
    assert not backend.has_device_memory
