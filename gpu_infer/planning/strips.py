"""Strips of windows instead of a whole volume in memory: which volumes can be segmented so, and what that takes.

A strip is a row of windows along the fastest axis of the file. Host and device hold the voxels of one strip, the sums
of the rows that the next windows still change, and the labels that have just become final.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple, get_args

import numpy as np

from gpu_infer.backends.labels import label_dtype
from gpu_infer.choices import Format
from gpu_infer.inferers.model_fit import Fit
from gpu_infer.inferers.strip_accumulator import final_shape, sums_shapes
from gpu_infer.inferers.strip_source import file_order, strip_box
from gpu_infer.inferers.windows import Window, WindowGrid
from gpu_infer.planning.run_inputs import RunInputs
from gpu_infer.planning.sizes import Sizes
from gpu_infer.settings import Settings
from gpu_infer.transforms.chain.strips import Box, StripChain
from gpu_infer.transforms.field import DType
from gpu_infer.volume.formats.inflated_boxes import PIPE
from gpu_infer.volume.geometry import Shape3
from gpu_infer.volume.header import VolumeHeader

LARGE_VOXELS = 1 << 27
"""Voxels of a file from which windows are visited in the order of the file, however much memory there is: sums, and
labels with them, must not depend on it. 512×512×512 is the smallest cube."""

_WRITE = 64 << 20
"""Bytes of labels in work while the files are written: blocks of 16 MiB, cast and compressed."""

_CHECKED = 16 << 20
"""Bytes of a floating-point file that are searched for NaN at a time, unless a slice has more."""

_SLICED: tuple[Format, ...] = ("mhd", "mha", "nii", "nii.gz", "nrrd")
"""Formats that are written a few slices at a time."""


def is_large(inputs: RunInputs) -> bool:
    """Whether the volume has at least `LARGE_VOXELS`."""
    return math.prod(inputs.header.geometry.shape) >= LARGE_VOXELS


def visit_order(inputs: RunInputs) -> Shape3 | None:
    """The axes of the visits, as `WindowGrid.order` has them; None: as they are without it.

    Large volumes whose chain allows strips are visited in the order of their file. Labels must not depend on memory,
    options or the format of the file, so these do not count.
    """
    if not is_large(inputs) or inputs.header.channels > 1 or isinstance(strip_chain(inputs), str):
        return None
    return file_order(inputs.pipeline.orientation(inputs.header.geometry))


def strips_refusal(inputs: RunInputs) -> str:
    """Why the run needs the whole volume in memory, as far as volume, chain and options show; empty if it does not."""
    return _refusal_of_volume(inputs) or _refusal_of_options(inputs.settings) or _refusal_of_outputs(inputs)


def options_prevent_strips(inputs: RunInputs) -> bool:
    """Whether `strips_refusal` names options, without which nothing else would need the whole volume."""
    return bool(
        _refusal_of_options(inputs.settings) and not _refusal_of_volume(inputs) and not _refusal_of_outputs(inputs)
    )


def _refusal_of_volume(inputs: RunInputs) -> str:
    header, config, settings = inputs.header, inputs.config, inputs.settings
    if not is_large(inputs):
        return f"it has fewer than {LARGE_VOXELS} voxels"
    if header.channels > 1 or header.stored is None:
        return "it has several channels, or is not one file of voxels in the order of its axes"
    if refusal := header.stored.boxes_refusal:
        return refusal
    if len(config.inferer.entries) > 1 and settings.model_name is None:
        return "several models need the whole volume"
    if config.own_inferer is not None or config.own_writers:
        return "custom inferers and writers take whole volumes"
    if header.stored.is_compressed and _descends(inputs):
        return "its slices run against the loaded axis, and a compressed file is read forwards"
    return ""


def _refusal_of_options(settings: Settings) -> str:
    options = {
        "--publish (in a container NVIDIA_CLARA_PUBLISHING, empty to publish nothing)": settings.publish,
        "--preview": settings.preview or settings.plain_preview,
        "--statistics": settings.statistics,
        "--scores or --uncertainty": settings.scores is not None or settings.uncertainty,
        "DICOM outputs": settings.dicom_seg or settings.dicom_sc or settings.dicom_sr or settings.rtstruct,
    }
    given = [option for option, value in options.items() if value]
    return f"the whole volume is needed for {', '.join(given)}" if given else ""


def _refusal_of_outputs(inputs: RunInputs) -> str:
    """Because of the formats of label maps, or of the chain."""
    for output in inputs.config.outputs:
        for each in inputs.settings.formats or output.formats or ():
            if each not in _SLICED:
                return f"label maps as .{each} are made of the whole volume"
    chain = strip_chain(inputs)
    return chain if isinstance(chain, str) else ""


def strip_dtypes(inputs: RunInputs, model: DType) -> StripDtypes:
    """Of a run that has no `strips_refusal`, with a model's input of dtype `model`."""
    assert inputs.header.stored is not None
    stored, output = inputs.header.stored, inputs.config.outputs[0]
    return StripDtypes(stored.dtype, np.dtype(model), np.dtype(output.dtype), stored.is_compressed)


def strip_chain(inputs: RunInputs) -> StripChain | str:
    """The chain for boxes of this volume; or, in words, what needs the whole volume."""
    header = inputs.header
    return inputs.pipeline.strip_chain(header.geometry, header.dtype, header.slope, header.inter)


def window_refusal(grid: WindowGrid, fit: Fit) -> str:
    """Why these windows need the whole volume, in words; empty if they do not."""
    if fit.labels:
        return "the model answers labels"
    if grid.slice_axis is not None:
        return "the model takes slices"
    if any(min(r, n) < 2 <= n for r, n in zip(grid.roi, grid.shape, strict=True)):
        return "windows of one row"
    return ""


def most_slices(chain: StripChain, grid: WindowGrid) -> int:
    """Most slices of the file that a strip reads."""
    a = grid.visit_order[0]
    return max(int(rows.stop - rows.start) for rows in (chain.source_box(box)[a] for box in _strips(grid)))


def checked_slices(header: VolumeHeader, most: int) -> int:
    """Slices of a floating-point file that are searched for NaN at a time; at most those of a strip, `most`."""
    i, j, _ = header.geometry.shape
    return max(1, min(most, _CHECKED // (i * j * header.dtype.itemsize)))


def _descends(inputs: RunInputs) -> bool:
    """Whether the first windows read the last slices of the file."""
    orientation = inputs.pipeline.orientation(inputs.header.geometry)
    return orientation.flips[file_order(orientation)[0]]


class StripDtypes(NamedTuple):
    """dtypes of the voxels in the file, of the model's input, and of the labels as written.

    is_compressed  the slices of a strip wait in memory
    """

    stored: DType
    model: DType
    output: DType
    is_compressed: bool = False


def strip_sizes(whole: Sizes, chain: StripChain, grid: WindowGrid, fit: Fit, dtypes: StripDtypes) -> Sizes:
    """The sizes of a run in strips, from those of the whole volume."""
    stored, model, output, is_compressed = dtypes
    boxes = _strips(grid)
    prepared = max(_voxels(box) for box in boxes) * model.itemsize
    read = max(_voxels(_whole_rows(chain.source_box(box), chain, grid)) for box in boxes) * stored.itemsize
    _, b, c = grid.visit_order
    across = len(chain.back[b]) * len(chain.back[c]) * stored.itemsize  # of a slice of the file
    slices = most_slices(chain, grid) * across + PIPE if is_compressed else 0
    marks = read // stored.itemsize if stored.kind == "f" else 0  # of the voxels that are not finite
    checked = 2 * max(_CHECKED, across) if stored.kind == "f" else 0
    classes = max(fit.classes, 1)
    label = label_dtype(classes).itemsize
    final = final_shape(grid)
    restored = _most_restored(chain, grid, final)
    sums = sum(math.prod(shape) for shape in sums_shapes(grid))
    weights = 4 * sums if whole.importance else 0
    return replace(
        whole,
        # voxels as read and in this machine's order of bytes; labels as they come from the backend and as written
        # of a compressed file, a box is a copy of the slices that wait
        stored=slices
        + max(read * (1 if stored.isnative else 2) + marks, checked)
        + restored * (label + output.itemsize),
        prepared=prepared + read,
        slab_accumulator=4 * classes * sums + weights,
        full_accumulator=4 * classes * sums + weights,
        result=(math.prod(final) + restored) * label,
        computed=0,
        output=_WRITE,
        transforms=0,
    )


def _strips(grid: WindowGrid) -> list[Box]:
    """The boxes of strips, one for each pair of starts; those inside the grid are all alike, but not what they read."""
    a, b, _ = grid.visit_order
    boxes = []
    for first in sorted(set(grid.axis_starts[a])):
        for second in sorted(set(grid.axis_starts[b])):
            start = [0, 0, 0]
            start[a], start[b] = first, second
            boxes.append(strip_box(grid, Window((start[0], start[1], start[2]), 1)))
    return boxes


def _most_restored(chain: StripChain, grid: WindowGrid, final: Shape3) -> int:
    """Most voxels of the file that a box of final labels becomes."""
    most = 1
    for table, rows in zip(chain.back, final, strict=True):
        per_row = np.bincount(table.lower, minlength=rows)
        sums = np.convolve(per_row, np.ones(min(rows, per_row.size), np.int64))
        most *= int(sums.max())
    return most


def _whole_rows(box: Box, chain: StripChain, grid: WindowGrid) -> Box:
    """`box` of the loaded grid with all of axis C: whole rows of the file are read."""
    rows, c = [*box], grid.visit_order[2]
    rows[c] = slice(0, len(chain.back[c]))
    return (rows[0], rows[1], rows[2])


def _voxels(box: Box) -> int:
    return math.prod(rows.stop - rows.start for rows in box)


assert set(_SLICED) <= set(get_args(Format))
