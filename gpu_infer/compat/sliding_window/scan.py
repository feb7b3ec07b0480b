"""Runs a predictor on the windows of a caller's images, and averages its outputs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from gpu_infer.compat.arrays import CallerArray
from gpu_infer.compat.sliding_window.exchange import Exchange, Values
from gpu_infer.compat.sliding_window.importance import gaussian_map
from gpu_infer.compat.sliding_window.layout import Group, Layout, batches, buffered, layout, per_axis, spatial_roi
from gpu_infer.compat.sliding_window.outputs import Outputs, Prediction

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True)
class Options:
    """Arguments of `sliding_window_inference` that do not depend on the kind of array; overlap None: the grid's own."""

    roi_size: Sequence[int | None] | int | None
    batch: int
    overlap: Sequence[float] | float | None
    mode: str
    sigma_scale: Sequence[float] | float
    padding_mode: str
    cval: float
    progress: bool
    roi_weight_map: CallerArray | None
    process_fn: Callable[..., Any] | None
    buffer_steps: int | None
    buffer_dim: int
    with_coord: bool
    grid: str


@dataclass(frozen=True)
class Predictor:
    """The caller's function with its further arguments."""

    function: Callable[..., Prediction]
    args: tuple[object, ...]
    kwargs: Mapping[str, object]


def scan(caller: Exchange, predictor: Predictor, options: Options) -> Prediction:
    """Results of all windows, in the structure and the kind of array that the predictor returns."""
    images = caller.images
    _check(images, options)
    size = images.shape[2:]
    windows = layout(size, spatial_roi(options.roi_size, size), options.grid, options.overlap)
    importance = _importance(caller, windows, options)
    windows, ends = _in_buffers(windows, options)
    source = caller.window_source(images, windows, options.padding_mode, options.cval)
    kwargs = dict(predictor.kwargs)
    condition = kwargs.pop("condition", None)
    conditions = None
    if condition is not None:
        values = _condition(caller, condition, images)
        conditions = caller.window_source(values, windows, options.padding_mode, options.cval)

    outputs = Outputs(caller, windows, len(images), only_first=ends is not None)
    groups = list(batches(len(images), len(windows.starts), options.batch, ends))

    def infer(group: Group) -> None:
        """One call of the predictor. No reference to its windows is left, so that their memory can be used again."""
        data = caller.predictor_input(source.take(group))
        if conditions is not None:
            kwargs["condition"] = caller.predictor_input(conditions.take(group))
        coordinates = [_coordinates(windows, group)] if options.with_coord else []
        predicted = outputs.flatten(predictor.function(data, *coordinates, *predictor.args, **kwargs))
        kwargs.pop("condition", None)
        weights = importance
        if options.process_fn is not None:
            shown = _shown_map(caller, windows, importance, options)
            predicted, weight_map = options.process_fn(predicted, data, shown)
            weights = caller.weight_map(weight_map, windows.roi)
        outputs.add(group, outputs.read(predicted), weights)

    for group in _with_progress(groups) if options.progress else groups:
        infer(group)
    return outputs.results()


def _check(images: Values, options: Options) -> None:
    if images.ndim < 3:
        raise ValueError(f"inputs must be [batch, channels, *spatial], found shape {images.shape}")
    if min(images.shape) < 1:
        raise ValueError(f"inputs of shape {images.shape} are empty")
    if options.batch < 1:
        raise ValueError(f"sw_batch_size must be at least 1, found {options.batch}")


def _importance(caller: Exchange, windows: Layout, options: Options) -> Values | None:
    """float32 [*roi], None if each voxel counts 1."""
    if options.mode not in ("constant", "gaussian"):
        raise ValueError(f"mode: found {options.mode!r}, expected constant or gaussian")
    if options.roi_weight_map is not None:
        return caller.weight_map(options.roi_weight_map, windows.roi)
    if options.mode == "constant":
        return None
    if options.grid == "clara":
        raise ValueError("mode gaussian belongs to the grids monai and nnunet: clara counts every window 1")
    scale = per_axis(options.sigma_scale, len(windows.roi), "sigma_scale")
    if not all(s > 0 for s in scale):
        raise ValueError(f"sigma_scale must be > 0, got {scale}")
    # process_fn may write into the map
    return caller.from_host(gaussian_map(options.grid, windows.roi, scale, shared=options.process_fn is None))


def _in_buffers(windows: Layout, options: Options) -> tuple[Layout, list[int] | None]:
    """Windows in visiting order, and the ends of buffers; None without `buffer_steps`."""
    if options.buffer_steps is None or options.buffer_steps <= 0:
        return windows, None
    axes = len(windows.size)
    if not -axes <= options.buffer_dim < axes:
        raise ValueError(f"buffer_dim must be in [{-axes}, {axes - 1}], got {options.buffer_dim}")
    return buffered(windows, options.buffer_dim % axes, options.buffer_steps)


def _condition(caller: Exchange, condition: CallerArray, images: Values) -> Values:
    values = caller.values(condition)
    if values.ndim != images.ndim or values.shape[2:] != images.shape[2:] or len(values) != len(images):
        raise ValueError(f"condition of shape {values.shape} does not fit inputs of {images.shape}")
    return values


def _coordinates(windows: Layout, group: Group) -> list[list[slice]]:
    """Per window: slice of the batch, slice(None), slices of the padded image."""
    return [[slice(image, image + 1), slice(None), *windows.coordinates(window)] for image, window in group.each()]


def _shown_map(caller: Exchange, windows: Layout, importance: Values | None, options: Options) -> CallerArray:
    """The importance map for `process_fn`: the caller's own, else ours as an array of the caller's kind."""
    if options.roi_weight_map is not None:
        return options.roi_weight_map
    ones = importance is None
    return caller.predictor_input(caller.from_host(np.ones(windows.roi, np.float32)) if ones else importance)


def _with_progress(groups: list[T]) -> Iterable[T]:
    """`groups` with a tqdm bar, or a log line at every tenth of them."""
    try:
        from tqdm import tqdm  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError:
        return _with_log(groups)
    bar: Iterable[T] = tqdm(groups)
    return bar


def _with_log(groups: list[T]) -> Iterator[T]:
    logged = 0
    for n, group in enumerate(groups, start=1):
        yield group
        if (tenths := 10 * n // len(groups)) > logged:
            logged = tenths
            log.info("%d of %d batches", n, len(groups))
