"""Stages of one transform."""

from __future__ import annotations

import numpy as np
import pytest
from transforms_oracle import BACKEND, transform, volume_of

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.errors import ConfigError
from gpu_infer.transforms.base import Barrier
from gpu_infer.transforms.chain.pipeline import Pipeline
from gpu_infer.transforms.field import FieldState
from gpu_infer.volume.geometry import Geometry

LOAD = transform("LoadNifti", fields="image")
ARGMAX = transform("ArgmaxAcrossChannels", fields="model")


class Unbooked(Barrier):
    """Changes the grid and does not record it."""

    name = "Unbooked"

    def apply(self, array: Array, field: FieldState, backend: Backend) -> Array:
        return array[:, 1:]


def test_an_undeclared_change_of_grid_is_refused() -> None:
    pipeline = Pipeline([LOAD, Unbooked(fields="image")], [ARGMAX])
    with pytest.raises(ConfigError, match=r"Unbooked: changed the grid of 'image' from \(3, 3, 3\) to \(2, 3, 3\)"):
        pipeline.prepare(volume_of(np.zeros((3, 3, 3), np.int16)), BACKEND)


class Half(Barrier):
    """Takes every second voxel and needs memory for it."""

    name = "Half"

    def trace(self, field: FieldState) -> None:
        x, y, z = field.shape
        field.windowed((0, 0, 0), ((x + 1) // 2, y, z))

    def scratch_bytes(self, field: FieldState) -> int:
        return 100 * field.shape[0]

    def apply(self, array: Array, field: FieldState, backend: Backend) -> Array:
        result = np.ascontiguousarray(array[:, ::2])
        self.trace(field)
        return result


def test_the_scratch_of_a_barrier_is_counted_with_its_result() -> None:
    pipeline = Pipeline([LOAD, Half(fields="image")], [ARGMAX])
    trace = pipeline.trace(1, Geometry((9, 4, 3), np.eye(4)), np.int16)
    (stage,) = (s for s in trace if "Half" in s.line)
    assert (stage.shape_in, stage.shape_out) == ((1, 9, 4, 3), (1, 5, 4, 3))
    assert stage.bytes == 100 * 9 + 5 * 4 * 3 * 4  # the grid before it, and float32 after it
    fields = pipeline.prepare(volume_of(np.zeros((9, 4, 3), np.int16)), BACKEND)
    assert fields["image"].array.shape == (1, 5, 4, 3)


def test_metadata_alone_allocates_nothing() -> None:
    copy = transform("CopyProperties", fields="model", from_field="image", properties=["spacing"])
    trace = Pipeline([LOAD], [ARGMAX, copy]).trace(1, Geometry((9, 4, 3), np.eye(4)), np.int16)
    (stage,) = (s for s in trace if "CopyProperties" in s.line)
    assert stage.line.endswith(", no voxel touched")
    assert stage.bytes == 0
