"""Probabilities of scores, and how uncertain they are, on the CPU."""

from __future__ import annotations

import numpy as np

from gpu_infer.backends.base.scores import Improbable, ScoreOperations
from gpu_infer.backends.cpu.kernels.launch import LAUNCH
from gpu_infer.backends.cpu.kernels.strided import reading, writing
from gpu_infer.backends.layout import fastest_last
from gpu_infer.backends.types import HostArray
from gpu_infer.choices import ScoresActivation


class CpuScoreOperations(ScoreOperations):
    def _probabilities(self, scores: HostArray, activation: ScoresActivation) -> None:
        from gpu_infer.backends.cpu.kernels import scores as kernels

        kernel = {"softmax": kernels.softmax, "sigmoid": kernels.sigmoid, "none": kernels.limit}[activation]
        view = scores.transpose(_slowest_first(scores))
        with LAUNCH:
            kernel(writing(view), view.shape)

    def _improbable(self, scores: HostArray, tolerance: np.float32) -> Improbable:
        from gpu_infer.backends.cpu.kernels import scores as kernels

        view = scores.transpose(_slowest_first(scores))
        with LAUNCH:
            outside, off_sum = kernels.count_improbable(reading(view), view.shape, tolerance)
        return Improbable(int(outside), int(off_sum))

    def _entropy(self, probabilities: HostArray, exclusive: bool, scale: np.float32, out: HostArray) -> None:
        from gpu_infer.backends.cpu.kernels import scores as kernels

        axes = _slowest_first(probabilities)
        view, target = probabilities.transpose(axes), out[np.newaxis].transpose(axes)[0]
        with LAUNCH:
            kernels.entropy(reading(view), writing(target), view.shape, exclusive, scale)


def _slowest_first(array: HostArray) -> tuple[int, int, int, int]:
    """Channels, then the axes from the greatest step in memory to the smallest."""
    i, j, k = fastest_last(array)
    return (0, 1 + i, 1 + j, 1 + k)
