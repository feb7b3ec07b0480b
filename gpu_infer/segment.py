"""Segmentation on arrays: prepare the volume, infer its windows, restore the labels to the file's grid."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.backends.choose import choose_backend
from gpu_infer.backends.label_tables import LabelStatistics
from gpu_infer.inferers.accumulator import Accumulator, ArgmaxFinalizer, Finalizer, MaskFinalizer, ScoreFinalizer
from gpu_infer.inferers.custom.client import ModelClient
from gpu_infer.inferers.custom.run import run_inferer
from gpu_infer.inferers.label_windows import LabelWindows
from gpu_infer.inferers.scan_window import scan_window
from gpu_infer.inferers.score_maps import ScoreMapFinalizer, ScoreMaps
from gpu_infer.nan_scores import explain_nan_scores
from gpu_infer.planning.run_plan import RunPlan, replan_for_grid
from gpu_infer.planning.sizes import Windows, model_sizes
from gpu_infer.progress import ProgressCallback
from gpu_infer.slot_rings import SlotRings
from gpu_infer.transforms.field import FieldState
from gpu_infer.triton.ring import SlotRing
from gpu_infer.triton.transport import Transport
from gpu_infer.volume.volume import Volume


class Observer(Protocol):
    """Receives the facts of `segment` as soon as they are known, so that they are on record if it fails later."""

    @property
    def progress(self) -> ProgressCallback:
        """Receives an event after every batch of windows."""

    def stage(self, name: str) -> AbstractContextManager[None]:
        """A context around the stage `name`: "prepare", "infer", "restore" and "statistics"."""

    def warn(self, message: str) -> None:
        """Receives a warning about this volume."""

    def record_plan(self, plan: RunPlan) -> None:
        """Receives the new plan if the transport fell back during the run."""

    def record_inference(self, plan: RunPlan, counters: dict[str, Any]) -> None:
        """Receives the plan in use and the counters of the slot ring when all windows are inferred."""


@dataclass(frozen=True)
class Segmentation:
    """The labels of one volume.

    labels  by output field: [I, J, K] on the file's own grid, on the host
    counts  by output field: voxels of each label, 0 to the largest one
    facts   what transforms add to the report
    plan    the plan in use at the end
    scores  probabilities on the model's grid and that grid's field; None without --scores and --uncertainty
    statistics
            by output field and label above 0 that occurs, of the first channel; empty if not asked for
    """

    labels: dict[str, NDArray[Any]]
    counts: dict[str, list[int]]
    facts: dict[str, Any]
    plan: RunPlan
    scores: tuple[ScoreMaps, FieldState] | None = None
    statistics: dict[str, dict[int, LabelStatistics]] = field(default_factory=dict)


def segment(
    plan: RunPlan,
    volume: Volume,
    transport: Transport,
    backend: Backend,
    observer: Observer,
    rings: SlotRings | None = None,
) -> Segmentation:
    """Segment one volume as planned.

    Args:
        plan: Of this volume.
        volume: As read.
        transport: Carries windows to the server.
        backend: Does all other work.
        observer: Receives facts.
        rings: Of the session; None: a ring is opened, and closed after the inference.

    Raises:
        ModelError: The model does not fit, or answers NaN.
        InputError: NaN of the file spread over the scores.
        ServerError, DeadlineError: The server failed.
        ResourceError: Memory is short on the host or on the GPU.
    """
    pipeline = plan.inputs.pipeline
    with observer.stage("prepare"):
        fields = pipeline.prepare(volume, backend, plan.model.input.dtype)
        prepared = fields[pipeline.input_field].array
        if pipeline.grid_decided_by_voxels:
            plan = replan_for_grid(plan, fields[pipeline.input_field].shape)
    with observer.stage("infer"), (rings or SlotRings()).ring(plan, transport, backend) as (ring, new_plan):
        if new_plan is not plan:
            observer.record_plan(new_plan)
            plan = new_plan
        infer = _infer if plan.inputs.config.own_inferer is None else _infer_own
        result, nans, maps = infer(plan, prepared, ring, backend, observer.progress)
        observer.record_inference(plan, ring.counters())
        if nans:
            observer.warn(explain_nan_scores(nans, plan, volume))
        pipeline.accept(result, fields)
        grid = fields[pipeline.result_field].copy(array=None)
        # `fields` has the last references: the transforms free each array after its last use, as planned
        del result, prepared
    with observer.stage("restore"):
        labels = pipeline.deliver(fields, backend)
        # counted on the backend: less than a millisecond on a GPU, a quarter of a second on the host
        counts = {name: backend.histogram(array).tolist() for name, array in labels.items()}
        on_host = {name: backend.download(array) for name, array in labels.items()}
    scores = None if maps is None else (maps, grid)
    statistics = _statistics(labels, counts, volume, backend, observer) if plan.inputs.settings.statistics else {}
    return Segmentation(on_host, counts, fields[pipeline.input_field].facts, plan, scores, statistics)


def _statistics(
    labels: dict[str, Array], counts: dict[str, list[int]], volume: Volume, backend: Backend, observer: Observer
) -> dict[str, dict[int, LabelStatistics]]:
    with observer.stage("statistics"):
        return {
            name: backend.label_statistics(
                array, volume.data[0], [label for label, n in enumerate(counts[name]) if label and n]
            )
            for name, array in labels.items()
        }


def _infer(
    plan: RunPlan, prepared: Array, ring: SlotRing, backend: Backend, progress: ProgressCallback
) -> tuple[Array, int, ScoreMaps | None]:
    """Labels, masks or scores on the model's grid, on `backend`; how many scores were NaN; the maps of the plan.

    The accumulator is freed on return.
    """
    if plan.fit.labels:
        return _scan(plan, prepared, ring, LabelWindows(backend, plan.grid, plan.model), backend, progress), 0, None
    summing = choose_backend("cpu") if plan.memory.knobs.host_sums else backend
    finalizer, maps = _finalizer(plan, summing), None
    if plan.scores is not None:
        dtype = np.float16 if plan.memory.knobs.half else np.float32
        finalizer = maps = ScoreMapFinalizer(
            summing, plan.grid, plan.fit.channels_out, plan.scores, finalizer, dtype=dtype
        )
    accumulator = Accumulator(
        summing,
        plan.grid,
        plan.fit.channels_out,
        finalizer,
        slab=plan.memory.knobs.slab,
        importance=plan.mode.importance(plan.fit.window),
        device=backend if plan.memory.knobs.host_sums else None,
    )
    result = _scan(plan, prepared, ring, accumulator, backend, progress)
    return result, summing.take_nan_scores(), None if maps is None else maps.score_maps()


def _scan(
    plan: RunPlan,
    prepared: Array,
    ring: SlotRing,
    accumulator: Accumulator | LabelWindows,
    backend: Backend,
    progress: ProgressCallback,
) -> Array:
    return scan_window(
        prepared,
        plan.grid,
        ring,
        accumulator,
        backend,
        batch=plan.memory.knobs.batch,
        fill=plan.mode.cval,
        progress=progress,
    )


def _infer_own(
    plan: RunPlan, prepared: Array, ring: SlotRing, backend: Backend, progress: ProgressCallback
) -> tuple[Array, int, ScoreMaps | None]:
    """`_infer` by the custom inferer; it refuses NaN, and makes no maps."""
    inferer, pipeline = plan.inputs.config.own_inferer, plan.inputs.pipeline
    assert inferer is not None
    sizes = model_sizes(Windows(plan.model, plan.fit, plan.mode, plan.grid))
    client = ModelClient(ring, backend, replace(sizes, batch=plan.memory.knobs.batch), progress)
    result = run_inferer(inferer, prepared, client, backend, pipeline.finalizer, pipeline.thresholds)
    if pipeline.activation is not None:  # as the accumulator does for built-in inferers
        backend.probabilities(result, pipeline.activation)
    return result, 0, None


def _finalizer(plan: RunPlan, summing: Backend) -> Finalizer:
    pipeline, classes = plan.inputs.pipeline, plan.fit.channels_out
    if pipeline.finalizer == "argmax":
        return ArgmaxFinalizer(summing, plan.grid, classes)
    if pipeline.finalizer == "masks":
        return MaskFinalizer(summing, plan.grid, pipeline.thresholds(classes))
    return ScoreFinalizer(summing, plan.grid, classes, pipeline.activation)
