"""Activations that change no label are left out of a chain; others run before what reads their probabilities."""

from __future__ import annotations

import numpy as np
import pytest
from transforms_finish import finish
from transforms_oracle import AFFINE, BACKEND, RNG, STORED, accumulated, load, probabilities, transform, volume_of, zoom

from gpu_infer.transforms.chain.pipeline import Pipeline

SOFTMAX, SIGMOID = transform("Softmax", fields="model"), transform("Sigmoid", fields="model")
ARGMAX = transform("ArgmaxAcrossChannels", fields="model")
COPY = transform("CopyProperties", fields="model", from_field="image", properties=["affine"])
RESTORE = transform("RestoreOriginalShape", field="model", src_field="image")
LINEAR = transform("RestoreOriginalShape", field="model", src_field="image", is_label=False)
SPLIT = transform("SplitAcrossChannels", field="model", channel_names=["a", "b"])
ABOVE = transform("ThresholdValues", fields="model", threshold=0.7)


@pytest.mark.parametrize(
    "chain",
    [[SOFTMAX, ARGMAX], [SIGMOID, ARGMAX], [SOFTMAX, COPY, RESTORE, ARGMAX], [RESTORE, SOFTMAX, ARGMAX]],
)
def test_an_argmax_does_not_need_it(chain: list[object]) -> None:
    pipeline = Pipeline([load()], chain)  # type: ignore[arg-type]
    assert pipeline.finalizer == "argmax"
    assert pipeline.activation is None
    assert not any("Softmax" in line or "Sigmoid" in line for line in pipeline.describe())


def test_thresholds_of_sigmoids_become_those_of_logits() -> None:
    pipeline = Pipeline([load()], [COPY, SIGMOID, ABOVE])
    assert pipeline.finalizer == "masks"
    assert (
        pipeline.thresholds(2)
        == transform("ThresholdValues", fields="model", threshold=0.7, sigmoid=True).thresholds * 2
    )


def test_other_readers_get_probabilities() -> None:
    never = transform("ThresholdValues", fields="model", threshold=1)
    for chain, activation in (
        ([SOFTMAX, LINEAR, ARGMAX], "softmax"),
        ([SIGMOID, LINEAR, ABOVE], "sigmoid"),
        ([SIGMOID, RESTORE, ABOVE], "sigmoid"),  # outside is not above 0.7, and a logit of 0 could be
        ([SIGMOID, never], "sigmoid"),
    ):
        pipeline = Pipeline([load()], chain)
        assert (pipeline.finalizer, pipeline.activation) == ("scores", activation)
    masks = Pipeline([load()], [SOFTMAX, ABOVE, SPLIT], outputs=["a", "b"])
    assert (masks.finalizer, masks.activation) == ("scores", "softmax")
    assert "Softmax by the accumulator, row by row" in masks.describe()[1]
    # restored before it: outside the scores are zero, and their probabilities are not
    masks = Pipeline([load()], [RESTORE, SOFTMAX, ABOVE, SPLIT], outputs=["a", "b"])
    assert (masks.finalizer, masks.activation) == ("scores", None)


@pytest.mark.parametrize("name", ["Softmax", "Sigmoid"])
def test_a_linear_restore_interpolates_probabilities(name: str) -> None:
    scale = transform("ScaleByResolution", fields="image", target_resolution=(0.8, 1.1, 5.0))
    pipeline = Pipeline([load(), scale], [transform(name, fields="model"), LINEAR, ARGMAX])
    scores = (RNG.normal(size=(3, 17, 4, 4)) * 8).astype(np.float32)
    fields = pipeline.prepare(volume_of(STORED, AFFINE), BACKEND)
    labels = finish(pipeline, accumulated(pipeline, scores), fields, BACKEND)
    p = zoom(probabilities(scores, name.lower()), STORED.shape)
    best = np.sort(p, axis=0)
    sure = best[-1] - best[-2] > 1e-5
    np.testing.assert_array_equal(labels[sure], p.argmax(0)[sure])
    assert (labels != zoom(scores, STORED.shape).argmax(0)).any()


def test_a_stage_of_its_own_is_planned() -> None:
    average = transform("ScaleIntensityRange", fields="model", a_min=0, a_max=1, b_min=0, b_max=2)
    trace = Pipeline([load()], [average, SOFTMAX, LINEAR, ARGMAX]).trace(
        1, volume_of(STORED, AFFINE).geometry, np.int16, classes=5
    )
    (stage,) = (s for s in trace if "Softmax" in s.line)
    assert stage.bytes == stage.existing == 5 * STORED.size * 4
