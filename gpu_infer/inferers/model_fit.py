"""How a model, a configuration and a prepared volume settle on one window size and batch."""

from __future__ import annotations

from dataclasses import dataclass

from gpu_infer.errors import ConfigError, ModelError
from gpu_infer.triton.model.fit import AXES, check_fit, split_dims
from gpu_infer.triton.model.info import ModelInfo

Shape3 = tuple[int, int, int]


@dataclass(frozen=True)
class Fit:
    """window: a tile's spatial size; batch: tiles per request; channels_out: −1 where only a reply tells."""

    window: Shape3
    batch: int
    channels_in: int
    channels_out: int


def fit_model(
    model: ModelInfo,
    *,
    channels: int,
    shape: Shape3,
    channels_last: bool,
    whole_volume: bool,
    roi_size: Shape3 | None,
    batch_size: int | None,
) -> Fit:
    """Settle window, batch and channels, or say what does not fit.

    channels, shape  of the prepared volume; whole_volume: one request with the full shape (simple inferer).
    `roi_size` beats the model's dims where those are dynamic; a fixed dim that disagrees is an error.
    Raises ModelError (does not fit the model) or ConfigError (roi_size needed).
    """
    _, spatial = split_dims(model.input.dims, channels_last)
    window = _window(model, spatial, shape, whole_volume, roi_size)
    check_fit(model, channels, window, channels_last=channels_last)
    batch = 1 if whole_volume else model.max_batch if batch_size is None else batch_size
    if batch > model.max_batch:
        raise ConfigError(
            f"batch_size {batch} is more than model {model.name} takes ({model.max_batch})",
            remedy=f"set batch_size to at most {model.max_batch}",
        )
    channels_out, _ = split_dims(model.output.dims, channels_last)
    return Fit(window, batch, channels, channels_out)


def _window(
    model: ModelInfo, spatial: tuple[int, ...], shape: Shape3, whole_volume: bool, roi_size: Shape3 | None
) -> Shape3:
    wanted = shape if whole_volume else roi_size
    sizes = []
    for axis, fixed in enumerate(spatial):
        asked = wanted[axis] if wanted is not None else -1
        if fixed == -1 and asked == -1:
            raise ConfigError(
                f"model {model.name}: axis {AXES[axis]} is dynamic and the configuration gives no roi_size",
                remedy="set inferer.args.roi_size",
            )
        if fixed != -1 and asked not in (-1, fixed):
            what = "the whole volume is" if whole_volume else "roi_size is"
            raise ModelError(
                f"model {model.name}: axis {AXES[axis]} is fixed at {fixed}, {what} {asked}",
                remedy="use a scanning-window inferer" if whole_volume else f"set roi_size to {list(spatial)}",
            )
        sizes.append(asked if fixed == -1 else fixed)
    return (sizes[0], sizes[1], sizes[2])
