"""Segmentation on arrays: prepare the volume, infer its windows, restore the labels to the file's grid."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.backends.base.upload import Upload
from gpu_infer.backends.label_tables import LabelStatistics
from gpu_infer.infer_windows import infer_windows
from gpu_infer.inferers.score_maps import ScoreMaps
from gpu_infer.nan_scores import explain_nan_scores
from gpu_infer.observer import Observer
from gpu_infer.planning.run_plan import RunPlan, replan_for_grid
from gpu_infer.slot_rings import SlotRings
from gpu_infer.transforms.field import FieldState
from gpu_infer.triton.transport import Transport
from gpu_infer.union import unite_labels
from gpu_infer.volume.volume import Volume


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
    upload: Upload | None = None,
) -> Segmentation:
    """Segment one volume as planned.

    Args:
        plan: Of this volume.
        volume: As read.
        transport: Carries windows to the server.
        backend: Does all other work.
        observer: Receives facts.
        rings: Of the session; None: a ring is opened, and closed after the inference.
        upload: Of the volume, which has begun while it was read; None: it is uploaded here.

    Raises:
        ModelError: The model does not fit, or answers NaN.
        InputError: NaN of the file spread over the scores.
        ServerError, DeadlineError: The server failed.
        ResourceError: Memory is short on the host or on the GPU.
    """
    pipeline = plan.inputs.pipeline
    with observer.stage("prepare"):
        fields = pipeline.prepare(volume, backend, plan.model.input.dtype, upload)
        prepared = fields[pipeline.input_field].array
        if pipeline.grid_decided_by_voxels:
            plan = replan_for_grid(plan, fields[pipeline.input_field].shape)
    with observer.stage("infer"):
        run = unite_labels if plan.parts else _infer
        plan, result, maps = run(plan, prepared, volume, transport, backend, observer, rings or SlotRings())
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
    plan: RunPlan,
    prepared: Array,
    volume: Volume,
    transport: Transport,
    backend: Backend,
    observer: Observer,
    rings: SlotRings,
) -> tuple[RunPlan, Array, ScoreMaps | None]:
    """The plan in use at the end, and labels, masks or scores on the model's grid with the maps of the plan."""
    with rings.ring(plan, transport, backend) as (ring, new_plan):
        if new_plan is not plan:
            observer.record_plan(new_plan)
            plan = new_plan
        result, nans, maps = infer_windows(plan, prepared, ring, backend, observer.progress)
        observer.record_inference(plan, ring.counters())
        if nans:
            observer.warn(explain_nan_scores(nans, plan, volume))
    return plan, result, maps
