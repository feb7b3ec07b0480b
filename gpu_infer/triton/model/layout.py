"""The order of axes in a model's tensors, and views of them in the order of this package."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

AXES = "XYZ"

ChannelPlace = Literal["first", "last", "none"]


@dataclass(frozen=True)
class TensorLayout:
    """Where one window of a model's tensors has its axes, without the batch axis.

    axes      spatial axes in the tensor's order: "XYZ", "ZYX", …; two of them if the model takes slices
    channels  whether the channel axis is before or after the spatial ones; none: there is one channel without an axis
    """

    axes: str = AXES
    channels: ChannelPlace = "first"

    @property
    def slice_axis(self) -> int | None:
        """The axis (0 X, 1 Y, 2 Z) across the slices that the model takes; None: it takes volumes."""
        return next((n for n, axis in enumerate(AXES) if axis not in self.axes), None)

    @property
    def rank(self) -> int:
        """Axes of a tensor, channels included."""
        return len(self.axes) + (self.channels != "none")

    def tensor_shape(self, channels: int, window: tuple[int, int, int]) -> tuple[int, ...]:
        """Shape of one window (X, Y, Z) in the model's memory."""
        spatial = tuple(window[AXES.index(axis)] for axis in self.axes)
        if self.channels == "none":
            return spatial
        return (*spatial, channels) if self.channels == "last" else (channels, *spatial)

    def split_dims(self, dims: tuple[int, ...]) -> tuple[int, tuple[int, int, int]]:
        """(channels, sizes X, Y, Z) of a tensor's dims; a dynamic size is −1, and that across slices is 1."""
        if self.channels == "none":
            dims = (1, *dims)
        channels, spatial = (dims[-1], dims[:-1]) if self.channels == "last" else (dims[0], dims[1:])
        x, y, z = (spatial[self.axes.index(axis)] if axis in self.axes else 1 for axis in AXES)
        return channels, (x, y, z)

    def of_rank(self, rank: int) -> TensorLayout:
        """The layout of a tensor of the same model: without a channel axis if it has one axis less."""
        return self if rank == self.rank else TensorLayout(self.axes, "none")

    def view(self, tensors: Any) -> Any:
        """View [B, C, X, Y, Z] of tensors [B, …] in the model's order; no voxel moves."""
        axes = self.axes
        if self.channels == "none":
            tensors = tensors[:, None]
        if self.slice_axis is not None:
            tensors = tensors[:, None] if self.channels == "last" else tensors[:, :, None]
            axes = AXES[self.slice_axis] + axes
        first = 1 if self.channels == "last" else 2
        order = (first + axes.index(axis) for axis in AXES)
        return tensors.transpose(0, tensors.ndim - 1 if self.channels == "last" else 1, *order)


CHANNELS_FIRST = TensorLayout()
"""[C, X, Y, Z]"""
