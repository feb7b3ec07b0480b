"""Whether windows of a size and channel count fit a model."""

from __future__ import annotations

from gpu_infer.errors import ModelError
from gpu_infer.triton.model.info import ModelInfo

AXES = "XYZ"


def tensor_shape(channels: int, window: tuple[int, int, int], channels_last: bool) -> tuple[int, ...]:
    """Shape of one window in the model's memory layout, without the batch axis."""
    return (*window, channels) if channels_last else (channels, *window)


def split_dims(dims: tuple[int, ...], channels_last: bool) -> tuple[int, tuple[int, ...]]:
    """(channels, spatial sizes) of a tensor's dims; a dynamic size is −1."""
    return (dims[-1], dims[:-1]) if channels_last else (dims[0], dims[1:])


def check_fit(model: ModelInfo, channels: int, window: tuple[int, int, int], *, channels_last: bool = False) -> None:
    """Raise ModelError if fixed dims of the model differ from the channels or the window; it names both."""
    takes, spatial = split_dims(model.input.dims, channels_last)
    if takes not in (-1, channels):
        raise ModelError(
            f"wrong channel count: model {model.name} takes {takes} in {model.input.name}, the volume has {channels}",
            remedy="check that the model belongs to this kind of volume"
            + ("; the 4th axis of a 4-D file is read as channels" if channels > 1 else ""),
        )
    for tensor in (model.input, model.output):
        _, spatial = split_dims(tensor.dims, channels_last)
        for axis, (fixed, size) in enumerate(zip(spatial, window, strict=True)):
            if fixed not in (-1, size):
                raise ModelError(
                    f"model {model.name} has {tensor.name} fixed at {fixed} on axis {AXES[axis]}, "
                    f"the window is {size} there",
                    remedy=f"set roi_size to {list(spatial)}",
                )
