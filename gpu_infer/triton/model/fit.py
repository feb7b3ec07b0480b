"""Whether windows of a size and channel count fit a model."""

from __future__ import annotations

from gpu_infer.errors import ModelError
from gpu_infer.triton.model.info import ModelInfo
from gpu_infer.triton.model.layout import AXES, CHANNELS_FIRST, TensorLayout


def check_fit(
    model: ModelInfo,
    channels: int,
    window: tuple[int, int, int],
    layout: TensorLayout = CHANNELS_FIRST,
    *,
    slices: int = 1,
) -> None:
    """Raise ModelError if fixed dims of the model differ from the channels or the window; it names both.

    slices  neighbouring slices, all of whose channels the model takes
    """
    takes, spatial = layout.split_dims(model.input.dims)
    if takes not in (-1, channels * slices):
        context = f" of each of {slices} slices" if slices > 1 else ""
        raise ModelError(
            f"wrong channel count: model {model.name} takes {takes} in {model.input.name}, "
            f"the volume has {channels}{context}",
            remedy="check that the model belongs to this kind of volume"
            + ("; the 4th axis of a 4-D file is read as channels" if channels > 1 else ""),
        )
    for tensor in (model.input, model.output):
        _, spatial = layout.of_rank(len(tensor.dims)).split_dims(tensor.dims)
        for axis, (fixed, size) in enumerate(zip(spatial, window, strict=True)):
            if fixed not in (-1, size):
                raise ModelError(
                    f"model {model.name} has {tensor.name} fixed at {fixed} on axis {AXES[axis]}, "
                    f"the window is {size} there",
                    remedy=f"set roi_size to {list(spatial)}",
                )
