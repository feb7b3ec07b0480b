"""Choose window size, batch and channels that fit the model, the configuration and the prepared volume."""

from __future__ import annotations

from dataclasses import dataclass

from gpu_infer.errors import ConfigError, ModelError
from gpu_infer.triton.model.fit import check_fit
from gpu_infer.triton.model.info import ModelInfo
from gpu_infer.triton.model.layout import AXES, TensorLayout
from gpu_infer.volume.geometry import Shape3

LABEL_CLASSES = 256
"""Classes of a model that answers labels: 0 to 255."""


@dataclass(frozen=True)
class Fit:
    """What model, configuration and volume agree on.

    window        spatial size of a window
    batch         windows per request
    channels_in   of the prepared volume
    channels_out  of the model's output; −1 if only a reply shows the number
    labels        the output is labels instead of scores
    context       slices on each side of a slice that are further channels of the input
    """

    window: Shape3
    batch: int
    channels_in: int
    channels_out: int
    labels: bool = False
    context: int = 0

    @property
    def model_channels(self) -> int:
        """Channels of the model's input."""
        return self.channels_in * (2 * self.context + 1)

    @property
    def classes(self) -> int:
        """Classes of the scores, −1 if not known; the most that labels of the model can have."""
        return LABEL_CLASSES if self.labels else self.channels_out


def fit_model(
    model: ModelInfo,
    *,
    channels: int,
    shape: Shape3,
    layout: TensorLayout,
    whole_volume: bool,
    roi_size: Shape3 | None,
    batch_size: int | None,
    context: int = 0,
) -> Fit:
    """Choose window, batch and channels.

    Args:
        model: The model's inputs and outputs; a dim of −1 is dynamic.
        channels: Channels of the prepared volume.
        shape: (X, Y, Z) of the prepared volume.
        layout: The order of axes in the model's windows.
        whole_volume: True for one request with the full shape (simple inferer), or for whole slices.
        roi_size: Window size of the configuration. It decides where the model's dims are dynamic.
        batch_size: Windows per request; None for the model's maximum.
        context: Neighbours on each side of a slice that the model gets as channels.

    Raises:
        ModelError: A fixed dim of the model disagrees.
        ConfigError: A dim is dynamic and there is no `roi_size`, or `batch_size` exceeds the model's maximum.
    """
    _, spatial = layout.split_dims(model.input.dims)
    if whole_volume:
        roi_size = _whole(shape, layout.slice_axis)
    window = _window(model, spatial, whole_volume, roi_size)
    check_fit(model, channels, window, layout, slices=2 * context + 1)
    batch = model.max_batch if batch_size is None else batch_size
    if whole_volume and layout.slice_axis is None:
        batch = 1
    if batch > model.max_batch:
        raise ConfigError(
            f"batch_size {batch} is more than model {model.name} takes ({model.max_batch})",
            remedy=f"set batch_size to at most {model.max_batch}",
        )
    channels_out, _ = layout.of_rank(len(model.output.dims)).split_dims(model.output.dims)
    if model.answers_labels:
        if channels_out not in (-1, 1):
            raise ModelError(
                f"model {model.name}: output {model.output.name} is {model.output.datatype} with {channels_out} "
                "channels, expected labels of one channel",
                remedy="export the model with float32 or float16 scores, or with one channel of labels",
            )
        channels_out = 1
    return Fit(window, batch, channels, channels_out, model.answers_labels, context)


def _whole(shape: Shape3, slice_axis: int | None) -> Shape3:
    x, y, z = (1 if axis == slice_axis else n for axis, n in enumerate(shape))
    return (x, y, z)


def _window(model: ModelInfo, spatial: tuple[int, ...], whole_volume: bool, roi_size: Shape3 | None) -> Shape3:
    sizes = []
    for axis, fixed in enumerate(spatial):
        size = roi_size[axis] if roi_size is not None else -1
        if fixed == -1 and size == -1:
            raise ConfigError(
                f"model {model.name}: axis {AXES[axis]} is dynamic and the configuration gives no roi_size",
                remedy="set inferer.args.roi_size",
            )
        if fixed != -1 and size not in (-1, fixed):
            what = "the whole volume is" if whole_volume else "roi_size (inferer.args.roi_size or --roi) is"
            remedy = "leave it out" if -1 not in spatial else f"set it to {fixed} on this axis"
            raise ModelError(
                f"model {model.name}: axis {AXES[axis]} is fixed at {fixed}, {what} {size}",
                remedy="use a scanning-window inferer" if whole_volume else remedy,
            )
        sizes.append(size if fixed == -1 else fixed)
    return (sizes[0], sizes[1], sizes[2])
