"""Which label a channel of scores belongs to, and the chains in which it belongs to none."""

from __future__ import annotations

import pytest
from transforms_oracle import load, transform

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.choices import ScoresActivation
from gpu_infer.errors import ConfigError
from gpu_infer.transforms.base import Barrier, Transform
from gpu_infer.transforms.chain.pipeline import Pipeline
from gpu_infer.transforms.chain.score_channels import ScoreChannels, score_channels
from gpu_infer.transforms.field import FieldState

ARGMAX = transform("ArgmaxAcrossChannels", fields="model")
THRESHOLD = transform("ThresholdValues", fields="model", threshold=0.5)
LOGITS = transform("ThresholdValues", fields="model", threshold=0.5, sigmoid=True)
RESTORE = transform("RestoreOriginalShape", field="model", src_field="image", is_label=False)
NEAREST = transform("RestoreOriginalShape", field="model", src_field="image", is_label=True)
SOFTMAX = transform("Softmax", fields="model")
SIGMOID = transform("Sigmoid", fields="model")
COPY = transform("CopyProperties", fields="model", from_field="image", properties=["affine"])
LARGEST = transform("KeepLargestCC", fields="model")
MASKS = transform("SplitBasedOnLabel", field="model", label_names=["a", "b"])
POINTS = transform("FetchExtremePoints", image_field="image", label_field="model")


class Own(Barrier):
    """A custom transform of labels; nobody knows what it does with their numbers."""

    name = "Own"
    needs_labels = True

    def apply(self, array: Array, field: FieldState, backend: Backend) -> Array:
        return array


class OwnThatKeepsNumbers(Own):
    name = "OwnThatKeepsNumbers"
    keeps_label_numbers = True


class OwnScores(Barrier):
    """A custom transform of scores."""

    name = "OwnScores"

    def apply(self, array: Array, field: FieldState, backend: Backend) -> Array:
        return array


@pytest.mark.parametrize(
    "post",
    [
        (ARGMAX,),
        (RESTORE, ARGMAX),
        (COPY, RESTORE, ARGMAX, LARGEST),
        (ARGMAX, POINTS, MASKS),
        (ARGMAX, OwnThatKeepsNumbers(fields="model")),
    ],
)
def test_classes(post: tuple[Transform, ...]) -> None:
    assert score_channels(Pipeline([load()], post), "--scores") == ScoreChannels(is_mask=False)
    assert ScoreChannels(is_mask=False).labels(4) == (0, 1, 2, 3)


@pytest.mark.parametrize(
    ("post", "activation"),
    [
        ((SOFTMAX, ARGMAX), "softmax"),
        ((SOFTMAX, NEAREST, ARGMAX), "softmax"),
        ((SIGMOID, ARGMAX), "sigmoid"),
    ],
)
def test_an_activation_that_changes_no_label_makes_the_probabilities(
    post: tuple[Transform, ...], activation: ScoresActivation
) -> None:
    assert score_channels(Pipeline([load()], post), "--scores") == ScoreChannels(False, activation)


def test_two_activations_are_refused() -> None:
    post = (SIGMOID, SOFTMAX, ARGMAX)
    with pytest.raises(ConfigError, match="--scores: the configuration has 2 activations of the scores"):
        score_channels(Pipeline([load()], post), "--scores")


@pytest.mark.parametrize(("threshold", "activation"), [(THRESHOLD, None), (LOGITS, "sigmoid")])
def test_a_mask(threshold: Transform, activation: ScoresActivation | None) -> None:
    assert score_channels(Pipeline([load()], [threshold, LARGEST]), "--scores") == ScoreChannels(True, activation)
    assert ScoreChannels(True).labels(1) == (1,)


@pytest.mark.parametrize(
    ("post", "message"),
    [
        ((ARGMAX, Own(fields="model")), "--scores: Own may number labels anew, so that no score belongs to a label"),
        ((OwnScores(fields="model"), ARGMAX), "--scores: OwnScores works on scores before they are labels"),
    ],
    ids=["labels", "scores"],
)
def test_chains_without_an_answer(post: tuple[Transform, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        score_channels(Pipeline([load()], post), "--scores")


def test_other_fields() -> None:
    pipeline = Pipeline([load()], [ARGMAX, MASKS], outputs=["a"])
    with pytest.raises(ConfigError, match="--scores: the label maps are made of the fields a, expected 'model' alone"):
        score_channels(pipeline, "--scores")
