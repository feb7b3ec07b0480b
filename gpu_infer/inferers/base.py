"""The base class of custom inferers, and the sizes of the model that they get.

Subclass `Inferer` and name the class in the configuration (`"path": "package.module.Class"`). Declare arguments in a
nested `Args` (a pydantic model that derives from `gpu_infer.transforms.arguments.Arguments`; unknown arguments are
errors). An instance has them as `self.args`.
"""

from __future__ import annotations

import inspect
import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

import numpy as np

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.backends.labels import label_dtype
from gpu_infer.transforms.component import ConfiguredComponent
from gpu_infer.volume.geometry import Shape3

__all__ = ["Inferer", "Model", "ModelSizes", "is_inferer"]


@dataclass(frozen=True)
class ModelSizes:
    """Sizes of the prepared volume and of the model's windows.

    grid      X, Y, Z of the prepared volume in voxels
    window    X, Y, Z of a window in voxels
    batch     windows per request, at most
    channels  C of the volume and of a window
    classes   K, channels of the model's scores
    dtype     of the volume, float32 or float16
    """

    grid: Shape3
    window: Shape3
    batch: int
    channels: int
    classes: int
    dtype: np.dtype[Any]

    @property
    def label_dtype(self) -> np.dtype[Any]:
        """dtype of labels: uint8 for up to 256 classes, uint16 beyond."""
        return np.dtype(label_dtype(self.classes))

    def request_bytes(self, windows: int) -> int:
        """Bytes of `windows` windows in `dtype`, as `Model.infer` takes them, and of their float32 scores."""
        return windows * math.prod(self.window) * (self.channels * self.dtype.itemsize + self.classes * 4)


class Model(Protocol):
    """The model on the server, as an inferer sees it."""

    sizes: ModelSizes

    def infer(self, windows: Array) -> Array:
        """Scores of windows.

        Any number of windows is sent in requests of at most `sizes.batch`; with more than that, several requests are in
        flight. The result does not depend on it.

        Args:
            windows: [N, C, X, Y, Z] float32 or float16 on the backend, N ≥ 1, X, Y, Z = `sizes.window`.

        Returns:
            A new array [N, K, X, Y, Z] float32 on the backend.

        Raises:
            ServerError, ModelError, DeadlineError: As for windows of the built-in inferers; the run ends with it.
        """


class Inferer(ConfiguredComponent):
    """Makes scores or labels of a prepared volume. One instance serves every run of a session, one at a time."""

    returns: ClassVar[Literal["scores", "labels"]] = "scores"
    """What `infer` returns. Labels replace those of an ArgmaxAcrossChannels at the start of the post-transforms."""

    @abstractmethod
    def infer(self, volume: Array, model: Model, backend: Backend) -> Array:
        """Scores or labels on the grid of the volume.

        Args:
            volume: [C, X, Y, Z] of `model.sizes.dtype` on the backend: the result of the pre-transforms. Do not write
                into it.
            model: Sends windows to the server.
            backend: Operations on arrays; the same code then runs on the CPU and on a GPU.

        Returns:
            On the backend: scores [K, X, Y, Z] float32 without NaN, or labels [X, Y, Z] of `model.sizes.label_dtype`.
        """

    def infer_volume(self, volume: Array, model: Model, backend: Backend) -> Array:
        """The call of a run: `infer`, unless a base class gives it other arguments."""
        return self.infer(volume, model, backend)

    def scratch_bytes(self, sizes: ModelSizes) -> int:
        """Bytes of the arrays that `infer` holds at a time, at most, without the volume and the result.

        Windows and scores of `model.infer` count. The plan of a run reserves these bytes. By default: two batches,
        since a loop holds the scores of a batch while it gets those of the next one.
        """
        return sizes.request_bytes(2 * sizes.batch)


def is_inferer(value: Any) -> bool:
    """Whether `value` is a concrete subclass of `Inferer`."""
    return isinstance(value, type) and issubclass(value, Inferer) and not inspect.isabstract(value)
