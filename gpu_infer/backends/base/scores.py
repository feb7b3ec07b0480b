"""Probabilities of scores, and how uncertain they are."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import NamedTuple, get_args

import numpy as np

from gpu_infer.backends.types import Array, TwinArray
from gpu_infer.choices import ScoresActivation


class Improbable(NamedTuple):
    """Voxels whose scores are no probabilities.

    outside    a score is below −tolerance or above 1 + tolerance
    off_sum    the sum over channels differs from 1 by more than the tolerance
    """

    outside: int
    off_sum: int


class ScoreOperations(ABC):
    """The public operations of this group, and what a backend implements for them."""

    def probabilities(self, scores: Array, activation: ScoresActivation) -> None:
        """Replace scores by probabilities, in place, rounded to float32 after each operation.

        softmax: exp(x − max) / Σ exp(x − max) over channels, summed from channel 0 on. sigmoid: 1 / (1 + exp(−x)).
        none: x, limited to 0 … 1. The exponential is a polynomial of one float32 rounding step or two (Cephes' expf),
        0 below exp(−87). A NaN score gives NaN, with softmax in each channel of its voxel.

        Args:
            scores: [K, X, Y, Z] float32, any strides.
            activation: What makes probabilities of them; "none": they are probabilities.

        Raises:
            ValueError: If the array or the activation is another one.
        """
        _check_scores(scores)
        if activation not in get_args(ScoresActivation):
            raise ValueError(f"activation {activation!r}, expected one of {', '.join(get_args(ScoresActivation))}")
        if scores.size:
            self._probabilities(scores, activation)

    def improbable(self, scores: Array, tolerance: float) -> Improbable:
        """Count the voxels whose scores are no probabilities. A NaN is not counted. Not asynchronous.

        Args:
            scores: [K, X, Y, Z] float32, any strides.
            tolerance: Rounded to float32.

        Raises:
            ValueError: If the array is another one.
        """
        _check_scores(scores)
        return self._improbable(scores, np.float32(tolerance)) if scores.size else Improbable(0, 0)

    def entropy(self, probabilities: Array, exclusive: bool, out: Array) -> None:
        """out[x, y, z] = entropy of a voxel's probabilities, divided by its largest value: 0 … 1.

        exclusive: one of K classes is true, −Σ p·ln p / ln K. Otherwise each of K channels is true or not, whatever the
        others are: −Σ (p·ln p + (1 − p)·ln(1 − p)) / (K·ln 2). A probability below the smallest normal float32 counts
        as 0. The logarithm is a polynomial (Cephes' logf). NaN gives NaN.

        Args:
            probabilities: [K, X, Y, Z] float32 in 0 … 1, any strides.
            exclusive: Whether the K channels exclude each other.
            out: [X, Y, Z] float32, any strides.

        Raises:
            ValueError: If shapes or dtypes do not agree, or a single channel is exclusive.
        """
        _check_scores(probabilities)
        channels = probabilities.shape[0]
        if out.shape != probabilities.shape[1:] or out.dtype != np.float32:
            raise ValueError(f"an entropy is float32 {probabilities.shape[1:]}, found {out.dtype} {out.shape}")
        if exclusive and channels < 2:
            raise ValueError("one class alone has no entropy, expected two or more")
        if out.size:
            largest = math.log(channels) if exclusive else channels * math.log(2)
            self._entropy(probabilities, exclusive, np.float32(1 / largest), out)

    @abstractmethod
    def _probabilities(self, scores: TwinArray, activation: ScoresActivation) -> None:
        """`probabilities` of an array that is not empty."""

    @abstractmethod
    def _improbable(self, scores: TwinArray, tolerance: np.float32) -> Improbable:
        """`improbable` of an array that is not empty."""

    @abstractmethod
    def _entropy(self, probabilities: TwinArray, exclusive: bool, scale: np.float32, out: TwinArray) -> None:
        """`entropy` of arrays that are not empty: the sum times `scale`."""


def _check_scores(scores: Array) -> None:
    """Native float32 [K, X, Y, Z] with a channel."""
    if scores.ndim != 4 or scores.dtype != np.float32 or scores.shape[0] < 1:
        raise ValueError(f"scores must be native float32 [K, X, Y, Z], found {scores.dtype.str} {scores.shape}")
