"""What the inferer delivers, and what a pipeline accepts of it."""

from __future__ import annotations

import numpy as np
import pytest
from transforms_finish import finish
from transforms_oracle import BACKEND, transform, volume_of

from gpu_infer.errors import ConfigError, ModelError
from gpu_infer.transforms.chain.pipeline import Pipeline

LOAD = transform("LoadNifti", fields="image")
ARGMAX = transform("ArgmaxAcrossChannels", fields="model")
COPY = transform("CopyProperties", fields="model", from_field="image", properties=["affine"])
RESTORE = transform("RestoreOriginalShape", field="model", src_field="image")
LINEAR = transform("RestoreOriginalShape", field="model", src_field="image", is_label=False)
RANGE_ON_MODEL = transform("ScaleIntensityRange", fields="model", a_min=0, a_max=1, b_min=0, b_max=2)


def test_the_finalizer_is_argmax_only_where_it_commutes() -> None:
    assert Pipeline([LOAD], [COPY, RESTORE, ARGMAX]).finalizer == "argmax"
    assert Pipeline([LOAD], [LINEAR, ARGMAX]).finalizer == "scores"
    assert Pipeline([LOAD], [RANGE_ON_MODEL, ARGMAX]).finalizer == "scores"
    nearest = transform("ScaleByResolution", fields="model", target_resolution=(2, 2, 2), is_label=True)
    assert Pipeline([LOAD], [nearest, ARGMAX, RESTORE]).finalizer == "argmax"


def test_the_finalizer_makes_masks_only_where_that_commutes() -> None:
    above = transform("ThresholdValues", fields="model", threshold=0.5)
    below_zero = transform("ThresholdValues", fields="model", threshold=-0.5)
    logit = transform("ThresholdValues", fields="model", threshold=0.4, sigmoid=True)
    assert Pipeline([LOAD], [COPY, RESTORE, above]).finalizer == "masks"
    assert Pipeline([LOAD], [below_zero, RESTORE]).finalizer == "masks"
    # a crop is put back into scores of zero, which these find above
    assert Pipeline([LOAD], [RESTORE, below_zero]).finalizer == "scores"
    assert Pipeline([LOAD], [RESTORE, logit]).finalizer == "scores"
    assert Pipeline([LOAD], [LINEAR, above]).finalizer == "scores"
    assert Pipeline([LOAD], [RANGE_ON_MODEL, above]).finalizer == "scores"
    # what it does to the other field is not the accumulator's to do
    both = transform("ThresholdValues", fields=["model", "image"], threshold=0.5)
    assert Pipeline([LOAD], [both]).finalizer == "scores"


def test_a_pipeline_of_masks_says_so_and_takes_nothing_else() -> None:
    above = transform("ThresholdValues", fields="model", threshold=0.5)
    pipeline = Pipeline([LOAD], [above])
    assert pipeline.thresholds(3) == (0.5, 0.5, 0.5)
    assert (
        pipeline.describe()[1]
        == "2. inference: image -> model, ThresholdValues(threshold=0.5) by the accumulator, row by row"
    )
    volume = volume_of(np.zeros((4, 5, 6), np.int16))
    result = next(s for s in pipeline.trace(1, volume.geometry, np.int16, classes=1) if "result" in s.line)
    assert (result.shape_out, result.dtype_out, result.bytes) == ((1, 4, 5, 6), np.uint8, 120)
    with pytest.raises(ValueError, match="the inferer delivers uint8 masks, found float32"):
        finish(pipeline, np.zeros((1, 4, 5, 6), np.float32), pipeline.prepare(volume, BACKEND), BACKEND)
    with pytest.raises(ValueError, match="only masks have thresholds, this pipeline's inferer delivers argmax"):
        Pipeline([LOAD], [ARGMAX]).thresholds(2)
    three = transform("ThresholdAcrossChannels", fields="model", threshold=[0.1, 0.2, 0.3])
    split = transform("SplitAcrossChannels", field="model", channel_names=["a", "b", "c"])
    channels = Pipeline([LOAD], [three, split], outputs=["b"])
    assert channels.thresholds(3) == (0.1, 0.2, 0.3)
    with pytest.raises(ConfigError, match="ThresholdAcrossChannels: is made for 3 channels, 'model' has 2"):
        channels.check_classes(2)


def test_refuses_a_result_on_another_grid() -> None:
    pipeline = Pipeline([LOAD], [ARGMAX])
    fields = pipeline.prepare(volume_of(np.zeros((3, 4, 5), np.int16)), BACKEND)
    with pytest.raises(ModelError, match=r"result has the grid \(3, 4, 4\), expected \(3, 4, 5\)"):
        finish(pipeline, np.zeros((3, 4, 4), np.uint8), fields, BACKEND)
