"""`SlidingWindowInferer` with the constructor and the call of MONAI's class."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from gpu_infer.compat.arrays import CallerArray
from gpu_infer.compat.sliding_window.function import sliding_window_inference
from gpu_infer.compat.sliding_window.outputs import Prediction


class SlidingWindowInferer:
    """Calls `sliding_window_inference` with the settings of the constructor; MONAI 1.6.1's class has the same.

    Settings are those of `sliding_window_inference`, and are checked by it at each call. In addition:

    cache_roi_weight_map  changes no value in MONAI, and nothing here: one map of weights per call takes milliseconds
    cpu_thresh            voxels of an image above which results of torch tensors are on the CPU if `device` is None
    """

    def __init__(
        self, roi_size: Sequence[int] | int, sw_batch_size: int = 1, overlap: Sequence[float] | float = 0.25,
        mode: str = "constant", sigma_scale: Sequence[float] | float = 0.125, padding_mode: str = "constant",
        cval: float = 0.0, sw_device: object = None, device: object = None, progress: bool = False,
        cache_roi_weight_map: bool = False, cpu_thresh: int | None = None, buffer_steps: int | None = None,
        buffer_dim: int = -1, with_coord: bool = False,
    ) -> None:  # fmt: skip
        self.roi_size = roi_size
        self.sw_batch_size = sw_batch_size
        self.overlap = overlap
        self.mode = mode
        self.sigma_scale = sigma_scale
        self.padding_mode = padding_mode
        self.cval = cval
        self.sw_device = sw_device
        self.device = device
        self.progress = progress
        self.cpu_thresh = cpu_thresh
        self.buffer_steps = buffer_steps
        self.buffer_dim = buffer_dim
        self.with_coord = with_coord
        if cache_roi_weight_map and not (isinstance(roi_size, Sequence) and min(roi_size) > 0):
            warnings.warn("cache_roi_weight_map=True, but cache is not created. (dynamic roi_size?)", stacklevel=2)

    def __call__(
        self, inputs: CallerArray, network: Callable[..., Prediction], *args: object, **kwargs: Any
    ) -> Prediction:
        """The mean of `network` over windows of `inputs` [B, C, *spatial].

        Args:
            inputs: As of `sliding_window_inference`.
            network: From [N, C, *roi] to [N, K, *shape], a tuple or a dictionary of such.
            args: Further arguments of the network.
            kwargs: device, buffer_steps and buffer_dim replace the constructor's; windows are cut from a `condition`;
                all others are further arguments of the network.

        Raises:
            ValueError: As `sliding_window_inference`, or a condition has another shape than the inputs.
            ConfigError: Inputs on a CUDA device without CuPy.
        """
        condition = kwargs.get("condition")
        if condition is not None and tuple(condition.shape) != tuple(inputs.shape):
            raise ValueError(
                f"`condition` must match shape of `inputs` ({tuple(inputs.shape)}), but got {tuple(condition.shape)}"
            )
        device = kwargs.pop("device", self.device)
        buffer_steps = kwargs.pop("buffer_steps", self.buffer_steps)
        buffer_dim = kwargs.pop("buffer_dim", self.buffer_dim)
        if "grid" in kwargs:  # the function's own argument; the class has only MONAI's grid
            network = partial(network, grid=kwargs.pop("grid"))
        large = self.cpu_thresh is not None and math.prod(inputs.shape[2:]) > self.cpu_thresh
        if device is None and large and not isinstance(inputs, np.ndarray):
            device = "cpu"
        return sliding_window_inference(
            inputs, self.roi_size, self.sw_batch_size, network, self.overlap, self.mode, self.sigma_scale,
            self.padding_mode, self.cval, self.sw_device, device, self.progress, None, None, buffer_steps, buffer_dim,
            self.with_coord, *args, **kwargs,
        )  # fmt: skip
