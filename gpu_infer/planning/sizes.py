"""Sizes of a run's arrays: the part of the memory plan that no fallback changes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from gpu_infer.backends import label_tables
from gpu_infer.backends.label_tables import MOST_VOXELS, copies_bytes, table_bytes
from gpu_infer.backends.labels import label_dtype
from gpu_infer.choices import MOST_BINARY
from gpu_infer.errors import ConfigError
from gpu_infer.inferers.accumulator import accumulator_shape
from gpu_infer.inferers.base import ModelSizes
from gpu_infer.inferers.custom.run import scratch_bytes
from gpu_infer.inferers.ensemble import Ensemble
from gpu_infer.inferers.model_fit import Fit
from gpu_infer.inferers.modes import WindowMode
from gpu_infer.inferers.score_plan import ScorePlan, scratch_shape
from gpu_infer.inferers.windows import WindowGrid
from gpu_infer.planning.free_memory import resident_bytes
from gpu_infer.planning.run_inputs import RunInputs
from gpu_infer.transforms.chain.pipeline import Pipeline
from gpu_infer.transforms.chain.restore_slabs import slab_bytes
from gpu_infer.transforms.chain.trace import Trace
from gpu_infer.triton.model.info import ModelInfo
from gpu_infer.writers.custom.write import scratch_bytes as writer_bytes

KERNELS = 192 << 20
"""Bytes that a run loads after the plan: compiled kernels, and the compiler if no cache has them yet."""

DICOM_LIBRARIES = 96 << 20
"""Bytes that highdicom, pydicom, Pillow and the headers of some hundred slices take."""


@dataclass(frozen=True)
class Sizes:
    """Sizes in bytes, measured once. Fallbacks and a change of the data transport do not change them.

    program           interpreter, libraries, compiled kernels and the lists of windows
    stored            the volume as read
    prepared          the model's input on its own grid, and fields that only the post-transforms read
    window            one window, in and out
    slab_accumulator  sums of the rows that one window covers along the slab axis
    full_accumulator  sums of the whole grid
    result            labels, masks or scores on the model's grid
    computed          labels on the file's grid, as computed; the GPU holds them as well
    output            `computed`, and the labels as written
    transforms        the largest stage of the pre- and post-transforms
    importance        weights of one window's voxels; 0 if all voxels weigh the same
    dicom             what DICOM files take while they are made, in addition to the labels as written
    statistics        tables of counts for the statistics, and slabs of the stored volume, if they are asked for
    table_copies      what the CPU needs for its threads in addition to a table
    own_files         what custom writers take, in addition to the labels
    own               what a custom inferer has in place of the accumulator; None: a built-in inferer
    fixed_batch       windows (no bytes) of every request if the model's batch axis is fixed; else 0
    host_filters      filters of libraries that a GPU's host computes
    scores            maps of probabilities on the model's grid, in float32
    scores_finalize   scores that become probabilities at a time
    scores_restore    a map's slab on the file's grid and what it is made of, on the backend
    scores_write      the slab as it is written, on the host
    """

    stored: int
    prepared: int
    window: int
    slab_accumulator: int
    full_accumulator: int
    result: int
    output: int
    program: int = 0
    computed: int = 0
    transforms: int = 0
    importance: int = 0
    dicom: int = 0
    fixed_batch: int = 0
    scores: int = 0
    scores_finalize: int = 0
    scores_restore: int = 0
    scores_write: int = 0
    statistics: int = 0
    table_copies: int = 0
    own_files: int = 0
    own: int | None = None
    requests: int = 0
    host_filters: int = 0


class Windows(NamedTuple):
    """A model, its window, the grid of windows over the prepared volume, and the maps of scores.

    ensemble  the models that see each window, if they are several
    labels    final labels of a union, background included, whose part this is; 0: there is no union
    """

    model: ModelInfo
    fit: Fit
    mode: WindowMode
    grid: WindowGrid
    scores: ScorePlan | None = None
    ensemble: Ensemble | None = None
    labels: int = 0

    @property
    def models(self) -> tuple[ModelInfo, ...]:
        """All models that see each window."""
        return (self.model,) if self.ensemble is None else self.ensemble.models

    @property
    def model_maps(self) -> int:
        """Importance maps: one of all models, or one of each; 0 if all voxels of a window count the same."""
        if self.ensemble is not None and self.ensemble.weights is not None:
            return len(self.models)
        return int(self.mode.blend != "constant")


def measure_sizes(inputs: RunInputs, windows: Windows, trace: Trace, resident: int | None = None) -> Sizes:
    """Compute all sizes from shapes and dtypes; no array is allocated.

    If the number of classes is not known yet, it counts as 1. `resident` is what the process holds without a volume,
    None: what it holds by now.
    """
    model, fit, grid, scores = windows.model, windows.fit, windows.grid, windows.scores
    header, outputs = inputs.header, inputs.config.outputs
    classes = max(fit.classes, 1)
    labels = windows.labels or classes
    weighs = inputs.pipeline.finalizer != "argmax" or scores is not None
    has_sum = windows.model_maps > 0 and weighs  # the sum of weights, which is one more channel
    summed = 0 if fit.labels else classes + has_sum
    window_in = _bytes((fit.model_channels, *fit.window), model.input.dtype)
    window_out = sum(_bytes((max(fit.channels_out, 1), *fit.window), each.output.dtype) for each in windows.models)
    widest = np.result_type(label_dtype(labels), *(stage.dtype_out for stage in trace.stages[-len(outputs) :]))
    computed = len(outputs) * _bytes(header.geometry.shape, widest)
    statistics, table_copies = _statistics_bytes(inputs, labels)
    return Sizes(
        program=(resident_bytes() if resident is None else resident) + KERNELS + grid.list_bytes,
        stored=header.nbytes,
        prepared=_bytes((fit.channels_in, *grid.shape), model.input.dtype) + trace.kept_bytes,
        window=window_in + window_out,
        slab_accumulator=_bytes(accumulator_shape(grid, summed, True), np.float32),
        full_accumulator=_bytes(accumulator_shape(grid, summed, False), np.float32),
        result=_result_bytes(inputs.pipeline, classes, grid)
        + (_bytes(grid.shape, label_dtype(labels)) if windows.labels else 0),
        computed=computed,
        output=computed + sum(_bytes(header.geometry.shape, output.dtype) for output in outputs),
        transforms=max(trace.peak_bytes, header.extra),  # voxels are read before the first transform
        importance=0 if fit.labels else windows.model_maps * _bytes(fit.window, np.float32),
        dicom=_dicom_bytes(inputs, labels, widest),
        fixed_batch=max(each.max_batch if each.fixed_batch else 0 for each in windows.models),
        statistics=statistics,
        table_copies=table_copies,
        own_files=max([writer_bytes(own.writer, header.geometry.shape) for own in inputs.config.own_writers] or [0]),
        own=_own_bytes(inputs, windows),
        requests=window_in * len(windows.models) + window_out if windows.ensemble is not None else 0,
        host_filters=trace.host_bytes,
        **({} if scores is None else _score_sizes(scores, classes, grid, trace)),
    )


def largest_sizes(parts: Sequence[Sizes]) -> Sizes:
    """The largest of each size, for passes one after another."""
    names = [each.name for each in fields(Sizes) if each.name != "own"]
    return Sizes(**{name: max(getattr(part, name) for part in parts) for name in names})


def model_sizes(windows: Windows) -> ModelSizes:
    """Sizes for a custom inferer. If the number of classes is not known yet, it counts as 1."""
    fit = windows.fit
    classes, dtype = max(fit.channels_out, 1), windows.model.input.dtype
    return ModelSizes(windows.grid.shape, fit.window, fit.batch, fit.channels_in, classes, np.dtype(dtype))


def _own_bytes(inputs: RunInputs, windows: Windows) -> int | None:
    """What the inferer itself says, and its scores if labels, masks or probabilities are made of them."""
    inferer = inputs.config.own_inferer
    if inferer is None:
        return None
    sizes = model_sizes(windows)
    makes_others = inputs.pipeline.finalizer != "scores" or inputs.pipeline.activation is not None
    has_scores = inferer.returns == "scores" and makes_others
    return scratch_bytes(inferer, sizes) + (_bytes((sizes.classes, *sizes.grid), np.float32) if has_scores else 0)


def _score_sizes(scores: ScorePlan, classes: int, grid: WindowGrid, trace: Trace) -> dict[str, int]:
    """The sizes that begin with `scores`."""
    assert trace.model_field is not None
    restore, write = slab_bytes(trace.model_field)
    scratch = scratch_shape(grid, classes)
    return {
        "scores": scores.nbytes(grid, np.float32),
        "scores_finalize": _bytes(scratch, np.float32) + _bytes(scratch[1:], np.float32),
        "scores_restore": restore,
        "scores_write": 2 * write,  # the slab, and its rounded and its compressed form
    }


def _statistics_bytes(inputs: RunInputs, classes: int) -> tuple[int, int]:
    """`statistics` and `table_copies` of `Sizes`; a slab is uploaded or converted while the next one is cut.

    Raises ConfigError for a volume of too many voxels.
    """
    if not inputs.settings.statistics:
        return 0, 0
    header = inputs.header
    voxels = math.prod(header.geometry.shape)
    if voxels >= MOST_VOXELS:
        raise ConfigError(
            f"--statistics: {header.path} has {voxels} voxels, expected fewer than {MOST_VOXELS}",
            remedy="run without --statistics",
        )
    channel = header.nbytes // header.channels
    table = table_bytes(header.dtype, classes)
    return table + 2 * label_tables.slab_bytes(channel, header.geometry.shape), copies_bytes(header.dtype, classes)


def _result_bytes(pipeline: Pipeline, classes: int, grid: WindowGrid) -> int:
    """Bytes of the finalizer's result on the model's grid."""
    if pipeline.finalizer == "argmax":
        return _bytes(grid.shape, label_dtype(classes))
    return _bytes((classes, *grid.shape), np.uint8 if pipeline.finalizer == "masks" else np.float32)


def _dicom_bytes(inputs: RunInputs, classes: int, dtype: DTypeLike) -> int:
    """Libraries and headers of the series, and a SEG: up to 2.5 bytes per byte of labels, and BINARY's frames twice.

    A frame has a bit per voxel. How many frames a label has is not known before: a quarter of the slices counts.
    """
    settings = inputs.settings
    if not (settings.dicom_seg or settings.dicom_sc or settings.dicom_sr or settings.rtstruct):
        return 0
    if settings.dicom_seg is None:
        return DICOM_LIBRARIES
    shape, labels = inputs.header.geometry.shape, classes - 1
    is_binary = settings.dicom_seg == "binary" or (settings.dicom_seg == "auto" and labels <= MOST_BINARY)
    frames = 2 * labels * math.prod(shape) // 8 // 4 if is_binary else 0
    return DICOM_LIBRARIES + 3 * _bytes(shape, dtype) + frames


def _bytes(shape: tuple[int, ...], dtype: DTypeLike) -> int:
    return int(math.prod(shape) * np.dtype(dtype).itemsize)
