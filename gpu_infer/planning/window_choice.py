"""Choose the windows of a run, how many a request has, and how many requests are in flight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gpu_infer.errors import ConfigError
from gpu_infer.inferers.model_fit import Fit, fit_model
from gpu_infer.inferers.modes import WindowMode
from gpu_infer.inferers.windows import WindowGrid, make_grid
from gpu_infer.planning.memory_plan import Knobs, Placement
from gpu_infer.planning.run_inputs import RunInputs
from gpu_infer.planning.strips import visit_order
from gpu_infer.transforms.chain.trace import Trace
from gpu_infer.triton.model.info import ModelInfo
from gpu_infer.triton.model.layout import TensorLayout
from gpu_infer.triton.model.queue import slots_within_queue
from gpu_infer.volume.geometry import Shape3

SLOTS = 2
"""Default number of requests in flight: one is computed while the other is filled and blended."""


def layout_of(inputs: RunInputs, model: ModelInfo, trace: Trace) -> TensorLayout:
    """The order of axes in the model's windows."""
    return inputs.config.inferer.layout(len(model.input.dims) - 1, "last" if trace.channels_last else "first")


def fit_window(inputs: RunInputs, model: ModelInfo, channels: int, shape: Shape3, layout: TensorLayout) -> Fit:
    """Choose window and batch for a prepared volume of `channels` and `shape`.

    Raises ModelError if volume and model do not fit, ConfigError if a roi_size is missing or the batch is too large.
    """
    inferer = inputs.config.inferer
    return fit_model(
        model,
        channels=channels,
        shape=shape,
        layout=layout,
        whole_volume=inferer.kind == "simple",
        roi_size=inputs.settings.roi_size or inferer.roi_size,
        batch_size=inputs.batch_size,
        context=inferer.context or 0,
    )


def place_windows(
    inputs: RunInputs, shape: Shape3, fit: Fit, mode: WindowMode, layout: TensorLayout, models: int = 1
) -> WindowGrid:
    """The windows of a built-in inferer, seen by `models`; one window for a custom inferer, which places its own.

    Raises ConfigError for a model that only built-in inferers run.
    """
    if (own := inputs.config.own_inferer) is None:
        order = None if layout.slice_axis is not None else visit_order(inputs)
        return replace(make_grid(shape, fit.window, mode, layout.slice_axis, fit.context, order), models=models)
    if fit.labels or fit.context or layout.slice_axis is not None:
        what = "answers labels" if fit.labels else "takes slices"
        raise ConfigError(
            f"{own.label}: the model {what}, expected scores of windows with three axes",
            remedy="use a built-in inferer for this model",
        )
    return make_grid(shape, shape, mode)


def choose_knobs(
    inputs: RunInputs, models: Sequence[ModelInfo], fit: Fit, grid: WindowGrid, placement: Placement
) -> Knobs:
    """The knobs as options and configuration set them, but no larger than windows need and each model's queue takes."""
    slots = inputs.settings.slots or inputs.config.inferer.slots or SLOTS
    for model in models:
        if (most := slots_within_queue(model, inputs.clients)) is not None:
            requests = sum(other.name == model.name for other in models)  # of one slot: by several outputs of a model
            slots = min(slots, max(1, most // requests))
    if inputs.config.own_inferer is not None:
        return Knobs(slots=slots, batch=fit.batch, slab=inputs.settings.slab, spare=True)
    visits = grid.distinct_count * len(grid.mirrors)
    batch = min(fit.batch, visits)
    host_labels = fit.labels and placement.gpu  # windows of labels come together on the host
    return Knobs(
        slots=min(slots, -(-visits // batch)), batch=batch, slab=inputs.settings.slab, host_sums=host_labels, spare=True
    )
