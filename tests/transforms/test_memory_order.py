"""New arrays have the memory order of the arrays that they are computed from."""

from __future__ import annotations

from itertools import permutations, product
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from transforms_finish import finish, finish_fields
from transforms_oracle import ARGMAX, affine_of, load, transform, volume_of

from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.transforms.chain.pipeline import Pipeline
from gpu_infer.transforms.memory_order import empty_like


@pytest.mark.parametrize("axes", list(permutations(range(4))))
def test_axes_and_directions_are_those_of_the_model(axes: tuple[int, ...]) -> None:
    backend = CpuBackend()
    for steps in product((1, -1), repeat=4):
        stored = np.zeros((2, 3, 4, 5), np.uint16).transpose(axes)
        array = stored[tuple(slice(None, None, step) for step in steps)]
        result = empty_like(array, np.uint16, backend)
        assert (result.shape, result.strides) == (array.shape, array.strides)
    gaps = np.zeros((2, 6, 4, 9), np.float32)[:, ::2, ::-1, 1:8]
    assert empty_like(gaps, np.uint8, backend).strides == (3 * 4 * 7, 4 * 7, -7, 1)


class Counting(CpuBackend):
    restored = 0

    def resample_labels(self, *args: Any) -> None:
        self.restored += 1
        super().resample_labels(*args)


@pytest.mark.parametrize("last", ["SplitBasedOnLabel", "KeepLargestCC", "ThresholdValues"])
def test_what_is_made_of_restored_labels_is_delivered_as_it_is(last: str) -> None:
    named: dict[str, dict[str, Any]] = {
        "SplitBasedOnLabel": {"field": "model", "label_names": ["rest", "liver"]},
        "KeepLargestCC": {"fields": "model"},
        "ThresholdValues": {"fields": "model", "threshold": 0},
    }
    output = "liver" if last == "SplitBasedOnLabel" else "model"
    volume = volume_of(np.zeros((8, 9, 10), np.int16), affine_of((2, 0, 1), (True, False, True)))
    scale = transform("ScaleToShape", fields="image", target_shape=[6, 6, 6])
    restore = transform("RestoreOriginalShape", field="model", src_field="image")
    pipeline = Pipeline([load(), scale], [*ARGMAX, restore, transform(last, **named[last])], outputs=[output])
    backend = Counting()
    fields = pipeline.prepare(volume, backend)
    labels = np.zeros((6, 6, 6), np.uint8)
    labels[2:5, 1:4] = 1
    got = finish_fields(pipeline, labels, fields, backend)[output]
    assert backend.restored == 1  # the restore, and no copy after it
    plain = finish(Pipeline([load(), scale], [*ARGMAX, restore]), labels, fields, CpuBackend())
    assert_array_equal(got, plain)
