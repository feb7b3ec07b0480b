"""The base class of custom inferers in Clara's style, whose `infer` gets one context."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.inferers.base import Inferer, Model, ModelSizes

__all__ = ["ContextInferer", "InferContext"]


@dataclass(frozen=True)
class InferContext:
    """What an inferer needs for one volume.

    image    [C, X, Y, Z] of `sizes.dtype` on the backend: the result of the pre-transforms. Do not write into it
    model    sends windows to the server
    backend  operations on arrays
    """

    image: Array
    model: Model
    backend: Backend

    @property
    def sizes(self) -> ModelSizes:
        """Sizes of the volume and of the model's windows."""
        return self.model.sizes

    def predict(self, windows: Array) -> Array:
        """Scores [N, K, X, Y, Z] float32 of windows [N, C, X, Y, Z], as `Model.infer`."""
        return self.model.infer(windows)


class ContextInferer(Inferer):
    """An inferer with `infer(ctx)`; everything else is as in `Inferer`."""

    @abstractmethod
    def infer(self, ctx: InferContext) -> Array:  # type: ignore[override]  # `infer_volume` is what a run calls
        """Scores [K, X, Y, Z] or labels [X, Y, Z] on the grid of `ctx.image`, as `Inferer.infer` returns them."""

    def infer_volume(self, volume: Array, model: Model, backend: Backend) -> Array:
        return self.infer(InferContext(volume, model, backend))
