"""All outputs of a predictor: their sums of windows, and the structure in which the predictor returns them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from gpu_infer.compat.arrays import CallerArray
from gpu_infer.compat.sliding_window.exchange import Exchange, Values
from gpu_infer.compat.sliding_window.layout import Group, Layout, Sizes
from gpu_infer.compat.sliding_window.stitching import Output, WindowSums

log = logging.getLogger(__name__)

Prediction = CallerArray | tuple[CallerArray, ...] | Mapping[str, CallerArray]
"""What a predictor returns, and `sliding_window_inference`: one array, several, or several by name."""


class Outputs:
    """The sums of every output.

    only_first  sum the first output alone, as MONAI does with `buffer_steps`
    """

    def __init__(self, caller: Exchange, windows: Layout, images: int, only_first: bool) -> None:
        self._caller = caller
        self._windows = windows
        self._images = images
        self._only_first = only_first
        self._keys: list[str] | None = None
        self._sums: list[WindowSums] = []

    def flatten(self, prediction: Prediction) -> tuple[CallerArray, ...]:
        """The outputs as a tuple; those of a dictionary by its sorted keys."""
        if isinstance(prediction, Mapping):
            self._keys = sorted(prediction)
            return tuple(prediction[key] for key in self._keys)
        return tuple(prediction) if isinstance(prediction, (tuple, list)) else (prediction,)

    def read(self, predicted: Sequence[CallerArray]) -> list[Values]:
        """The arrays of one call's outputs.

        Raises:
            ValueError: there is none, or one of them is no array of real numbers.
        """
        if not predicted:
            raise ValueError("the predictor returned no outputs, expected an array")
        values = []
        for n, output in enumerate(predicted):
            try:
                values.append(self._caller.values(output))
            except ValueError as error:
                raise ValueError(f"output {n} of the predictor: {error}") from error
        return values

    def add(self, group: Group, outputs: list[Values], weights: Values | None) -> None:
        """Add one call's outputs, times `weights` [*roi].

        Raises:
            ValueError: number or shape of the outputs do not fit.
        """
        if self._only_first and len(outputs) > 1:
            if not self._sums:
                log.warning("buffer_steps keeps the first of %d outputs, as MONAI does", len(outputs))
            outputs = outputs[:1]
        if self._sums and len(outputs) != len(self._sums):
            raise ValueError(f"the predictor gave {len(outputs)} outputs, and {len(self._sums)} before")
        resized = weights
        for n, values in enumerate(outputs):
            shape = self._spatial_shape(n, values, group.windows)
            if shape == self._windows.roi:
                resized = weights
            elif resized is not None:
                resized = self._caller.resize(resized, shape)  # from the previous output's map, as MONAI does
            output = Output(self._images, values.shape[1], shape)
            if n == len(self._sums):
                self._sums.append(self._caller.window_sums(self._windows, output, resized))
            sums = self._sums[n]
            if sums.output != output:
                expected = (group.windows, sums.output.channels, *sums.output.shape)
                raise ValueError(f"output {n} has shape {values.shape}, earlier ones fit {expected}")
            sums.add(group, self._caller.scores(values), resized)

    def _spatial_shape(self, n: int, values: Values, windows: int) -> Sizes:
        """Spatial shape of output `n` for a call with `windows` windows."""
        roi = self._windows.roi
        if values.ndim != 2 + len(roi) or len(values) != windows or min(values.shape) < 1:
            axes = ", ".join(f"axis {axis}" for axis in range(len(roi)))
            raise ValueError(f"output {n} has shape {values.shape}, expected [{windows}, channels, {axes}]")
        shape: Sizes = values.shape[2:]
        if self._only_first and shape != roi:
            raise ValueError(
                f"output {n} is {shape} for windows of {roi}: buffer_steps takes outputs of the roi's size"
            )
        return shape

    def results(self) -> Prediction:
        """The means in the predictor's own structure."""
        results = [self._caller.result(sums.mean()) for sums in self._sums]
        if self._keys is not None:
            return dict(zip(self._keys, results, strict=False))
        return results[0] if len(results) == 1 else tuple(results)
