"""Segmentation from file to file, strip by strip: neither the volume nor its labels are ever whole in memory."""

from __future__ import annotations

import logging
import math

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends.base.backend import Backend
from gpu_infer.errors import InputError
from gpu_infer.inferers.scan_window import visit_windows
from gpu_infer.inferers.strip_accumulator import StripAccumulator
from gpu_infer.inferers.strip_source import LabelsToFile, StripSource
from gpu_infer.nan_scores import explain_nan_scores
from gpu_infer.observer import Observer
from gpu_infer.planning.run_plan import RunPlan
from gpu_infer.planning.strips import checked_slices, most_slices
from gpu_infer.slot_rings import SlotRings
from gpu_infer.triton.transport import Transport
from gpu_infer.volume.boxes import BoxReader
from gpu_infer.volume.checks import finite_warnings
from gpu_infer.volume.header import VolumeHeader
from gpu_infer.volume.volume import Volume
from gpu_infer.writers.label_file import LabelFile
from gpu_infer.writers.output_dtype import cast_labels

log = logging.getLogger(__name__)


def segment_strips(
    plan: RunPlan,
    transport: Transport,
    backend: Backend,
    observer: Observer,
    rings: SlotRings,
    labels: LabelFile,
) -> tuple[list[int], RunPlan]:
    """Segment the file of a plan with `strips` into `labels`; reading, restoring and writing are parts of "infer".

    Returns:
        Voxels of each label, and the plan in use at the end.

    Raises:
        ModelError: The model answers NaN.
        InputError: The file has changed, is too short or damaged, or its NaN spread over the scores.
        ConfigError: A label does not fit the dtype of `labels`.
        ServerError, DeadlineError: The server failed.
        ResourceError: Memory is short on the host or on the GPU.
        OSError: `labels` cannot be written.
    """
    header = plan.inputs.header
    assert plan.strips is not None
    if plan.strips.warning:
        log.warning("%s", plan.strips.warning)

    def write(box: NDArray[np.integer], j: int, k: int) -> None:
        labels.write(cast_labels(box, labels.dtype), j, k)

    slices = most_slices(plan.strips, plan.grid)
    to_file = LabelsToFile(backend, plan.strips, header.geometry.shape, write)
    with (
        observer.stage("infer"),
        _open_boxes(header, slices) as reader,
        rings.ring(plan, transport, backend) as (ring, new_plan),
    ):
        header.check_unchanged()  # after it is open: a file that changes later is refused by the reader
        if new_plan is not plan:
            observer.record_plan(new_plan)
            plan = new_plan
        assert plan.strips is not None
        nan = plan.inputs.pipeline.nan
        not_finite = reader.count_not_finite(checked_slices(header, slices))
        for message in finite_warnings(not_finite, math.prod(reader.shape), nan):
            observer.warn(message)
        source = StripSource(
            backend,
            plan.grid,
            plan.strips,
            reader,
            dtype=plan.model.input.dtype,
            fill=plan.mode.fill,
            nan=None if nan is None else (nan - header.inter) / header.slope,
        )
        pipeline, classes = plan.inputs.pipeline, plan.fit.channels_out
        accumulator = StripAccumulator(
            backend,
            plan.grid,
            classes,
            to_file.take,
            thresholds=None if pipeline.finalizer == "argmax" else pipeline.thresholds(classes),
            importance=plan.mode.importance(plan.fit.window),
        )
        batch = plan.memory.knobs.batch
        visit_windows(plan.grid, ring, source.fill_slot, accumulator, backend, batch=batch, progress=observer.progress)
        accumulator.close()
        for message in reader.finish():
            observer.warn(message)
        observer.record_inference(plan, ring.counters())
        if nans := backend.take_nan_scores():
            observer.warn(
                explain_nan_scores(nans, plan, volume_without_voxels(header, 0 if nan is not None else not_finite))
            )
    return to_file.counts, plan


def _open_boxes(header: VolumeHeader, slices: int) -> BoxReader:
    assert header.stored is not None
    try:
        return header.stored.boxes(header.geometry.shape, slices)
    except InputError:
        header.check_unchanged()  # rather than damage, which a change looks like
        raise


def volume_without_voxels(header: VolumeHeader, not_finite: int = 0) -> Volume:
    """The volume of a header with an array of no voxels; `not_finite` of the file's are NaN or infinite."""
    return Volume(
        data=np.empty((1, 0, 0, 0), header.dtype),
        geometry=header.geometry,
        path=header.path,
        format=header.format,
        slope=header.slope,
        inter=header.inter,
        warnings=header.warnings,
        files=header.files,
        not_finite=not_finite,
    )
