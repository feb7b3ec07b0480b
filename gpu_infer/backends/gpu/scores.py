"""Probabilities of scores, and how uncertain they are, on the GPU."""

from __future__ import annotations

import numpy as np

from gpu_infer.backends.base.scores import Improbable, ScoreOperations
from gpu_infer.backends.gpu import kernel_arguments as arguments
from gpu_infer.backends.gpu.operations import ROWS, Operations
from gpu_infer.backends.layout import fastest_last, output, pointer, reordered, steps
from gpu_infer.backends.types import DeviceArray
from gpu_infer.choices import ScoresActivation

_KERNELS = {"softmax": "softmax", "sigmoid": "sigmoid", "none": "limit"}


class GpuScoreOperations(Operations, ScoreOperations):
    def _probabilities(self, scores: DeviceArray, activation: ScoresActivation) -> None:
        with self._device.section("probabilities"):
            self._launch_scores(_KERNELS[activation], scores)

    def _improbable(self, scores: DeviceArray, tolerance: np.float32) -> Improbable:
        with self._device.section("improbable"):
            counts = self._device.zeroed((2,), np.uint64)
            self._launch_scores("improbable", scores, counts=pointer(counts), tolerance=tolerance)
            outside, off_sum = self._device.small_download(counts)
        return Improbable(int(outside), int(off_sum))

    def _launch_scores(
        self, kind: str, scores: DeviceArray, *, counts: int = 0, tolerance: float | np.float32 = 0.0
    ) -> None:
        order = fastest_last(scores)
        size = reordered(scores.shape[1:], order)
        packed = arguments.packed(
            arguments.PROBABILITIES,
            scores=output(scores),
            outside=counts,
            off_sum=counts + 8 if counts else 0,
            strides=reordered(steps(scores), order),
            size=size,
            channels=scores.shape[0],
            tolerance=tolerance,
        )
        self._device.launch("scores", kind, _blocks(size), packed)

    def _entropy(self, probabilities: DeviceArray, exclusive: bool, scale: np.float32, out: DeviceArray) -> None:
        with self._device.section("entropy"):
            order = fastest_last(probabilities)
            size = reordered(out.shape, order)
            packed = arguments.packed(
                arguments.ENTROPY,
                values=pointer(probabilities),
                out=output(out),
                values_strides=reordered(steps(probabilities), order),
                out_strides=reordered(steps(out), order),
                size=size,
                channels=probabilities.shape[0],
                scale=scale,
            )
            self._device.launch("scores", f"entropy_{'classes' if exclusive else 'masks'}", _blocks(size), packed)


def _blocks(size: tuple[int, ...]) -> int:
    i, j, _ = size
    return int(i) * -(-int(j) // ROWS["scores"])
