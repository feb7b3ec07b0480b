"""`sliding_window_inference` with MONAI's arguments, for NumPy arrays and torch tensors, without torch or MONAI."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from gpu_infer.compat.sliding_window.exchange import Exchange, exchange
from gpu_infer.compat.sliding_window.layout import Layout, Sizes, batches, buffered, layout, per_axis, spatial_roi
from gpu_infer.compat.sliding_window.stitching import Stitched
from gpu_infer.inferers.importance import monai_gaussian, nnunet_gaussian

log = logging.getLogger(__name__)

T = TypeVar("T")


class _Default(float):
    """A default that can be told from the same number given by a caller."""


_OVERLAP = _Default(0.25)


def sliding_window_inference(
    inputs: Any,
    roi_size: Sequence[int | None] | int | None,
    sw_batch_size: int,
    predictor: Callable[..., Any],
    overlap: Sequence[float] | float = _OVERLAP,
    mode: str = "constant",
    sigma_scale: Sequence[float] | float = 0.125,
    padding_mode: str = "constant",
    cval: float = 0.0,
    sw_device: Any = None,
    device: Any = None,
    progress: bool = False,
    roi_weight_map: Any = None,
    process_fn: Callable[..., Any] | None = None,
    buffer_steps: int | None = None,
    buffer_dim: int = -1,
    with_coord: bool = False,
    *args: Any,
    grid: str = "monai",
    **kwargs: Any,
) -> Any:
    """Run `predictor` on windows of `inputs` and put its outputs together.

    inputs          [B, C, *spatial] with one or more spatial axes: NumPy, anything with `__array__` or DLPack, a torch
                    tensor, CuPy and whatever lies on a CUDA device: it stays there, windows, sums and results too.
                    Results come back as what came in, in its dtype (float32 for integers)
    roi_size        window size, one for all axes or one each; None, 0 and negative entries stand for the image's size
    sw_batch_size   windows per call of the predictor; windows of neighbouring images share a call
    predictor       from [N, C, *roi] to [N, K, *shape], a tuple or a dictionary of such. A shape other than the roi
                    is the output's own resolution, and its result is scaled likewise
    overlap         part of the roi by which windows overlap, at least 0 and below 1. Not given: 0.25, and 0.5 in the
                    grid nnunet (steps of at most (1 − overlap)·roi there); the grid clara takes none
    mode            constant: each voxel of a window counts the same; gaussian: MONAI's map, nnU-Net's in its grid
    sigma_scale     σ of the gaussian as part of the roi
    padding_mode    constant (with `cval`), reflect, replicate, circular: what stands around images smaller than the roi
    sw_device       where the predictor's windows go, and `device` where results go: for torch tensors. With device
                    "cpu" the windows and sums of tensors on a GPU are taken in host memory
    progress        a tqdm bar where tqdm is installed, else lines in the log
    roi_weight_map  weights of a window's voxels in place of `mode`: anything that broadcasts to [1, 1, *roi]
    process_fn      (outputs, windows, importance map) → (outputs, map) after each call; results are divided by the
                    first call's maps, as MONAI does
    buffer_steps    with `buffer_dim`: windows are visited in order along that axis, in groups of as many rows. Memory
                    is the same with and without; as in MONAI the first output alone is returned
    with_coord      call predictor(windows, coordinates, …), for each window a list [slice of the batch, slice(None),
                    *slices of the padded image]
    grid            monai, clara or nnunet: how windows are placed. clara pads at the end, the others on both sides
    args, kwargs    go to the predictor; a `condition` is cut into the same windows

    Sums are taken in float32 window after window, so results do not depend on `sw_batch_size`. Gradients are not
    followed. Values agree with MONAI 1.6.1 within 1e-5.

    Raises ValueError for arguments or outputs that do not fit, and for what cannot be done on the inputs' device;
    ConfigError for inputs on a CUDA device without CuPy; what the predictor raises passes through.
    """
    caller = exchange(inputs, sw_device, device)
    with caller.in_order():
        images = caller.images
        if images.ndim < 3:
            raise ValueError(f"inputs must be [batch, channels, *spatial], found shape {images.shape}")
        if min(images.shape) < 1:
            raise ValueError(f"inputs of shape {images.shape} are empty")
        if sw_batch_size < 1:
            raise ValueError(f"sw_batch_size must be at least 1, found {sw_batch_size}")
        size, padding_mode = images.shape[2:], _name(padding_mode)
        roi = spatial_roi(roi_size, size)
        windows = layout(size, roi, grid, None if overlap is _OVERLAP else overlap)
        importance = _importance(caller, windows, _name(mode), sigma_scale, roi_weight_map, grid)

        ends = None
        if buffer_steps is not None and buffer_steps > 0:
            if not -len(size) <= buffer_dim < len(size):
                raise ValueError(f"buffer_dim must be in [{-len(size)}, {len(size) - 1}], got {buffer_dim}")
            windows, ends = buffered(windows, buffer_dim % len(size), buffer_steps)

        source = caller.source(images, windows, padding_mode, cval)
        condition = kwargs.pop("condition", None)
        if condition is not None:
            condition = caller.source(_condition(caller, condition, images), windows, padding_mode, cval)

        stitch = _Stitch(caller, windows, len(images), ends is not None)
        groups = list(batches(len(images), len(windows.starts), sw_batch_size, ends))
        for group in _shown(groups) if progress else groups:
            data = caller.given(source.take(group))
            if condition is not None:
                kwargs["condition"] = caller.given(condition.take(group))
            coordinates = (
                ([[slice(b, b + 1), slice(None), *windows.coordinates(w)] for b, w in group],) if with_coord else ()
            )
            outputs = stitch.flattened(predictor(data, *coordinates, *args, **kwargs))
            weights = importance
            if process_fn is not None:
                shown = caller.host_map(np.ones(roi, np.float32)) if importance is None else importance
                shown = caller.given(shown) if roi_weight_map is None else roi_weight_map
                outputs, changed = process_fn(outputs, data, shown)
                weights = caller.weight_map(changed, roi)
            stitch.add(group, [caller.values(output) for output in outputs], weights)
        return stitch.packed([caller.result(mean) for mean in stitch.means()])


class _Stitch:
    """All outputs of a predictor, and the structure in which it gives them."""

    def __init__(self, caller: Exchange, windows: Layout, images: int, only_first: bool) -> None:
        self._caller = caller
        self._windows = windows
        self._images = images
        self._only_first = only_first
        self._keys: list[Any] | None = None
        self._outputs: list[Stitched] = []

    def flattened(self, outputs: Any) -> tuple[Any, ...]:
        """The outputs as a tuple, a dictionary's by its sorted keys."""
        if isinstance(outputs, Mapping):
            self._keys = sorted(outputs)
            return tuple(outputs[key] for key in self._keys)
        return tuple(outputs) if isinstance(outputs, (tuple, list)) else (outputs,)

    def packed(self, results: list[Any]) -> Any:
        if self._keys is not None:
            return dict(zip(self._keys, results, strict=False))
        return results[0] if len(results) == 1 else tuple(results)

    def add(
        self, group: list[tuple[int, int]], outputs: list[NDArray[Any]], weights: NDArray[np.float32] | None
    ) -> None:
        if self._only_first and len(outputs) > 1:
            if not self._outputs:
                log.warning("buffer_steps keeps the first of %d outputs, as MONAI does", len(outputs))
            outputs = outputs[:1]
        if self._outputs and len(outputs) != len(self._outputs):
            raise ValueError(f"the predictor gave {len(outputs)} outputs, and {len(self._outputs)} before")
        roi, resized = self._windows.roi, weights
        for n, values in enumerate(outputs):
            if values.ndim != 2 + len(roi) or len(values) != len(group) or min(values.shape) < 1:
                axes = ", ".join(f"axis {axis}" for axis in range(len(roi)))
                raise ValueError(f"output {n} has shape {values.shape}, expected [{len(group)}, channels, {axes}]")
            shape: Sizes = values.shape[2:]
            if shape == roi:
                resized = weights
            elif self._only_first:
                raise ValueError(
                    f"output {n} is {shape} for windows of {roi}: buffer_steps takes outputs of the roi's size"
                )
            elif resized is not None:
                resized = self._caller.resized(resized, shape)  # from the output before, as MONAI does
            if n == len(self._outputs):
                stitched = self._caller.stitched(self._windows, self._images, values.shape[1], shape, resized)
                self._outputs.append(stitched)
            stitched = self._outputs[n]
            if (stitched.channels, stitched.shape) != (values.shape[1], shape):
                before = (len(group), stitched.channels, *stitched.shape)
                raise ValueError(f"output {n} has shape {values.shape}, earlier ones fit {before}")
            stitched.add(group, self._caller.scores(values), resized)

    def means(self) -> Iterator[NDArray[np.float32]]:
        return (output.mean() for output in self._outputs)


def _name(value: Any) -> str:
    """A string, or the value of an enumeration of strings."""
    return str(getattr(value, "value", value)).lower()


def _importance(
    caller: Exchange, windows: Layout, mode: str, sigma_scale: Any, given: Any, grid: str
) -> NDArray[np.float32] | None:
    """float32 [*roi], None where each voxel counts 1."""
    if mode not in ("constant", "gaussian"):
        raise ValueError(f"mode: found {mode!r}, expected constant or gaussian")
    if given is not None:
        return caller.weight_map(given, windows.roi)
    if mode == "constant":
        return None
    if grid == "clara":
        raise ValueError("mode gaussian belongs to the grids monai and nnunet: clara counts every window 1")
    scale = per_axis(sigma_scale, len(windows.roi), "sigma_scale")
    if not all(s > 0 for s in scale):
        raise ValueError(f"sigma_scale must be > 0, got {scale}")
    gaussian = nnunet_gaussian if grid == "nnunet" else monai_gaussian
    return caller.host_map(gaussian(windows.roi, scale))


def _condition(caller: Exchange, condition: Any, images: NDArray[Any]) -> NDArray[Any]:
    values = caller.values(condition)
    if values.ndim != images.ndim or values.shape[2:] != images.shape[2:] or len(values) != len(images):
        raise ValueError(f"condition of shape {values.shape} does not fit inputs of {images.shape}")
    return values


def _shown(groups: list[T]) -> Iterable[T]:
    """`groups` with a bar, or a line in the log at every tenth of the way."""
    try:
        from tqdm import tqdm  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError:
        return _logged(groups)
    bar: Iterable[T] = tqdm(groups)
    return bar


def _logged(groups: list[T]) -> Iterator[T]:
    told = 0
    for n, group in enumerate(groups, start=1):
        yield group
        if (tenths := 10 * n // len(groups)) > told:
            told = tenths
            log.info("%d of %d batches", n, len(groups))
