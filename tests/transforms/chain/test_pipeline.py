"""Description and trace of a pipeline, and the chains that it does not accept."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from transforms_finish import finish
from transforms_oracle import affine_of, transform, volume_of

from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.transforms.chain.pipeline import Pipeline
from gpu_infer.volume.geometry import Geometry

BACKEND = CpuBackend()
LOAD = transform("LoadNifti", fields="image")
FIRST = transform("ConvertToChannelsFirst", fields="image")
SCALE = transform("ScaleByResolution", fields="image", target_resolution=(0.8, 0.8, 5.0))
RANGE = transform("ScaleIntensityRange", fields="image", a_min=-1500, a_max=500, b_min=0, b_max=1, clip=True)
ARGMAX = transform("ArgmaxAcrossChannels", fields="model")
COPY = transform("CopyProperties", fields="model", from_field="image", properties=["affine"])
RESTORE = transform("RestoreOriginalShape", field="model", src_field="image")
LINEAR = transform("RestoreOriginalShape", field="model", src_field="image", is_label=False)
LUNG = ([LOAD, FIRST, SCALE, RANGE], [ARGMAX, COPY, RESTORE])


def test_describe_the_lung_configuration() -> None:
    assert Pipeline(*LUNG).describe() == [
        "1. image: LoadNifti + ConvertToChannelsFirst + ScaleByResolution(target_resolution=[0.8, 0.8, 5]) + "
        "ScaleIntensityRange(a_min=-1500, a_max=500, b_min=0, b_max=1, clip=true), one pass",
        "2. inference: image -> model, ArgmaxAcrossChannels by the accumulator, row by row",
        "3. model: CopyProperties(from_field=image, properties=[affine]), no voxel touched",
        "4. model: RestoreOriginalShape(src_field=image)",
        "5. model: delivered in the file's axis order",
    ]


def test_describe_says_what_is_added() -> None:
    lines = Pipeline([LOAD, SCALE], [RANGE_ON_MODEL, ARGMAX]).describe()
    assert lines[1] == "2. inference: image -> model, averaged scores"
    assert lines[4] == "5. model: back to the file's grid, nearest (no RestoreOriginalShape)"


RANGE_ON_MODEL = transform("ScaleIntensityRange", fields="model", a_min=0, a_max=1, b_min=0, b_max=2)


def test_trace_of_the_lung_configuration() -> None:
    """The demo's CT, stored with its axes permuted: 512×512×61 at 0.627×0.627×5 mm gives 401×401×61."""
    geometry = Geometry((61, 512, 512), affine_of((1, 2, 0), (True, False, True), (5.0, 0.627, 0.627)))
    trace = Pipeline(*LUNG).trace(1, geometry, np.int16, classes=3)
    assert (trace.model_shape, trace.model_channels) == ((401, 401, 61), 1)
    assert trace.model_bytes == 401 * 401 * 61 * 4
    assert not trace.channels_last
    assert [s.bytes for s in trace] == [
        512 * 512 * 61 * 2,
        401 * 401 * 61 * 4,
        401 * 401 * 61,
        0,
        512 * 512 * 61,
        0,
    ]
    prepare = trace.stages[1]
    assert (prepare.shape_in, prepare.dtype_in) == ((1, 512, 512, 61), np.int16)
    assert (prepare.shape_out, prepare.dtype_out) == ((1, 401, 401, 61), np.float32)
    assert trace.stages[-1].shape_out == (1, 512, 512, 61)
    assert trace.peak_bytes == 512 * 512 * 61 * 2 + 401 * 401 * 61 * 4
    assert len(trace) == 6


def test_trace_of_scores_half_precision_and_an_implied_restore() -> None:
    trace = Pipeline([LOAD, SCALE], [RANGE_ON_MODEL, ARGMAX]).trace(
        2, Geometry((8, 8, 10), np.eye(4)), ">i2", np.float16, classes=300
    )
    assert (trace.model_shape, trace.model_channels, trace.channels_last) == ((10, 10, 2), 2, True)
    assert trace.model_bytes == 2 * 200 * 2
    result, scaled, argmax, delivered = trace.stages[-4:]
    assert (result.shape_out, result.dtype_out, result.bytes) == ((300, 10, 10, 2), np.float32, 300 * 200 * 4)
    assert scaled.shape_out == (300, 10, 10, 2)
    assert (argmax.shape_out, argmax.dtype_out, argmax.bytes) == ((1, 10, 10, 2), np.uint16, 400)
    assert (delivered.shape_out, delivered.bytes) == ((1, 8, 8, 10), 8 * 8 * 10 * 2)


@pytest.mark.parametrize("chain", [LUNG, ([LOAD, SCALE, SCALE], [LINEAR, ARGMAX]), ([LOAD], [ARGMAX])])
def test_trace_agrees_with_the_run(chain: Any) -> None:
    volume = volume_of(np.zeros((2, 9, 8, 7), np.int16), affine_of((2, 0, 1), (False, True, False), (1, 2, 3)))
    pipeline = Pipeline(*chain)
    trace = pipeline.trace(2, volume.geometry, np.int16, classes=2)
    fields = pipeline.prepare(volume, BACKEND)
    assert trace.model_shape == fields["image"].shape == fields["image"].array.shape[1:]
    result = (
        np.zeros(trace.model_shape, np.uint8)
        if pipeline.finalizer == "argmax"
        else np.zeros((2, *trace.model_shape), np.float32)
    )
    labels = finish(pipeline, result, fields, BACKEND)
    assert labels.shape == volume.geometry.shape
    assert trace.stages[-1].dtype_out == labels.dtype


def test_a_second_scaling_to_the_same_resolution_changes_nothing() -> None:
    volume = volume_of(np.zeros((9, 8, 7), np.int16), np.diag([1.3, 0.7, 4.1, 1.0]))
    once = Pipeline([LOAD, SCALE], [ARGMAX]).prepare(volume, BACKEND)["image"]
    twice = Pipeline([LOAD, SCALE, SCALE], [ARGMAX]).prepare(volume, BACKEND)["image"]
    assert once.shape == twice.shape == (15, 7, 6)
    assert once.history == twice.history
    # nominal spacing keeps the extent
    np.testing.assert_allclose(np.multiply(once.shape, once.spacing), [9 * 1.3, 8 * 0.7, 7 * 4.1])
    assert once.properties["spacing"] == pytest.approx((1.3, 0.7, 4.1))
    assert once.properties["original_shape"] == (9, 8, 7)
