"""Which numbers of output channels a chain accepts, and whether it counts ties."""

from __future__ import annotations

import numpy as np
import pytest
from transforms_finish import finish
from transforms_oracle import AFFINE, BACKEND, STORED, load, transform, volume_of

from gpu_infer.errors import ConfigError
from gpu_infer.transforms.chain.pipeline import Pipeline
from gpu_infer.volume.geometry import Geometry

LOAD = transform("LoadNifti", fields="image")
ARGMAX = transform("ArgmaxAcrossChannels", fields="model")
COPY = transform("CopyProperties", fields="model", from_field="image", properties=["affine"])
RESTORE = transform("RestoreOriginalShape", field="model", src_field="image")
LINEAR = transform("RestoreOriginalShape", field="model", src_field="image", is_label=False)
RANGE_ON_MODEL = transform("ScaleIntensityRange", fields="model", a_min=0, a_max=1, b_min=0, b_max=2)
VOLUME = volume_of(STORED, AFFINE)
MASKS = transform("ThresholdAcrossChannels", fields="model", threshold=0.5)
ABOVE = transform("ThresholdValues", fields="model", threshold=0.5)
SPLIT = transform("SplitAcrossChannels", field="model", channel_names=["TC", "WT"])


def test_whether_ties_are_counted() -> None:
    above = transform("ThresholdValues", fields="model", threshold=0.5)
    tumour = transform("ThresholdValues", fields="model", threshold=1.5)
    masks = transform("ThresholdAcrossChannels", fields="model", threshold=0.5)
    split = transform("SplitAcrossChannels", field="model", channel_names=["a", "b"])
    one = transform("ThresholdValues", fields="b", threshold=0.5)
    for post in ([ARGMAX, RESTORE], [LINEAR, ARGMAX], [RANGE_ON_MODEL, ARGMAX, tumour], [RESTORE, above], [above]):
        assert Pipeline([LOAD], post).counts_ties
    assert Pipeline([LOAD], [masks, split], outputs=["b"]).counts_ties
    for post in ([LINEAR, above], [RANGE_ON_MODEL, above]):
        assert not Pipeline([LOAD], post).counts_ties
    assert not Pipeline([LOAD], [split, one], outputs=["b"]).counts_ties


def test_refuses_the_argmax_of_one_channel() -> None:
    pipeline = Pipeline([LOAD], [LINEAR, ARGMAX])
    pipeline.check_classes(2)
    with pytest.raises(ConfigError, match="the model has one output channel, whose argmax is always 0"):
        pipeline.check_classes(1)
    with pytest.raises(ConfigError, match="one output channel"):
        Pipeline([LOAD], [ARGMAX]).trace(1, Geometry((3, 4, 5), np.eye(4)), np.int16, classes=1)
    fields = pipeline.prepare(volume_of(np.zeros((3, 4, 5), np.int16)), BACKEND)
    with pytest.raises(ConfigError, match="one output channel"):
        finish(pipeline, np.zeros((1, 3, 4, 5), np.float32), fields, BACKEND)


def test_the_number_of_classes_follows_from_the_chain() -> None:
    for post, outputs, channels in (([MASKS, SPLIT], ["TC"], 2), ([ABOVE], None, 1), ([ARGMAX], None, 1)):
        trace = Pipeline([load()], post, outputs=outputs).trace(1, VOLUME.geometry, np.int16)
        result = next(s for s in trace if s.line.endswith("result of the inference"))
        assert result.shape_out[0] == channels
    three = transform("ThresholdAcrossChannels", fields="model", threshold=[0.1, 0.2, 0.3])
    with pytest.raises(ConfigError, match="leave 3 channels in 'model', expected 1"):
        Pipeline([load()], [three])


def test_a_split_made_for_other_channels_is_refused_before_the_inference() -> None:
    pipeline = Pipeline([load()], [MASKS, SPLIT], outputs=["WT"])
    pipeline.check_classes(2)
    with pytest.raises(ConfigError, match="SplitAcrossChannels: is made for 2 channels, 'model' has 3"):
        pipeline.trace(1, VOLUME.geometry, np.int16, classes=3)


def test_a_transform_that_occurs_twice_runs_twice() -> None:
    once_more = transform("ThresholdValues", fields="model", threshold=-1.5)  # two references to one component
    pipeline = Pipeline([LOAD], [once_more, once_more])
    fields = pipeline.prepare(VOLUME, BACKEND)
    masks = np.zeros((1, *fields["image"].shape), np.uint8)  # every score is below −1.5, and every mask above
    assert (finish(pipeline, masks, fields, BACKEND) == 1).all()
