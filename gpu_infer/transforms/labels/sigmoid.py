"""Sigmoid: the probability of each channel."""

from __future__ import annotations

from gpu_infer.transforms.base import Activation


class Sigmoid(Activation):
    """1 / (1 + exp(−x)) of each score, in float32: see `ScoreOperations.probabilities`."""

    name = "Sigmoid"
    activation = "sigmoid"
