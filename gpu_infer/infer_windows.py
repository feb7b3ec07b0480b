"""Inference of one model, or of one ensemble, over a prepared volume."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.backends.choose import choose_backend
from gpu_infer.inferers.accumulator import Accumulator, ArgmaxFinalizer, Finalizer, MaskFinalizer, ScoreFinalizer
from gpu_infer.inferers.custom.client import ModelClient
from gpu_infer.inferers.custom.run import run_inferer
from gpu_infer.inferers.ensemble import EnsembleAccumulator
from gpu_infer.inferers.label_windows import LabelWindows
from gpu_infer.inferers.scan_window import scan_window
from gpu_infer.inferers.score_maps import ScoreMapFinalizer, ScoreMaps
from gpu_infer.planning.run_plan import RunPlan
from gpu_infer.planning.sizes import Windows, model_sizes
from gpu_infer.progress import ProgressCallback
from gpu_infer.triton.ring import SlotRing


def infer_windows(
    plan: RunPlan, prepared: Array, ring: SlotRing, backend: Backend, progress: ProgressCallback
) -> tuple[Array, int, ScoreMaps | None]:
    """Labels, masks or scores on the model's grid, on `backend`; how many scores were NaN; the maps of the plan."""
    infer = _infer_built_in if plan.inputs.config.own_inferer is None else _infer_own
    return infer(plan, prepared, ring, backend, progress)


def _infer_built_in(
    plan: RunPlan, prepared: Array, ring: SlotRing, backend: Backend, progress: ProgressCallback
) -> tuple[Array, int, ScoreMaps | None]:
    """`infer_windows` by a built-in inferer. The accumulator is freed on return."""
    if plan.fit.labels:
        return _scan(plan, prepared, ring, LabelWindows(backend, plan.grid, plan.model), backend, progress), 0, None
    summing = choose_backend("cpu") if plan.memory.knobs.host_sums else backend
    finalizer, maps = _finalizer(plan, summing), None
    if plan.scores is not None:
        dtype = np.float16 if plan.memory.knobs.half else np.float32
        finalizer = maps = ScoreMapFinalizer(
            summing, plan.grid, plan.fit.channels_out, plan.scores, finalizer, dtype=dtype
        )
    accumulator = _accumulator(plan, summing, finalizer, backend)
    result = _scan(plan, prepared, ring, accumulator, backend, progress)
    return result, summing.take_nan_scores(), None if maps is None else maps.score_maps()


def _accumulator(plan: RunPlan, summing: Backend, finalizer: Finalizer, backend: Backend) -> Accumulator:
    knobs, importance = plan.memory.knobs, plan.mode.importance(plan.fit.window)
    device = backend if knobs.host_sums else None
    grid, channels = plan.grid, plan.fit.channels_out
    if plan.ensemble is None:
        return Accumulator(summing, grid, channels, finalizer, slab=knobs.slab, importance=importance, device=device)
    return EnsembleAccumulator(
        summing,
        grid,
        channels,
        finalizer,
        slab=knobs.slab,
        importance=importance,
        device=device,
        weights=plan.ensemble.weights,
    )


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
        fill=plan.mode.fill,
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
    finish = (pipeline.finalizer, pipeline.thresholds, pipeline.activation)
    return run_inferer(inferer, prepared, client, backend, *finish), 0, None


def _finalizer(plan: RunPlan, summing: Backend) -> Finalizer:
    pipeline, classes = plan.inputs.pipeline, plan.fit.channels_out
    if pipeline.finalizer == "argmax":
        return ArgmaxFinalizer(summing, plan.grid, classes)
    if pipeline.finalizer == "masks":
        return MaskFinalizer(summing, plan.grid, pipeline.thresholds(classes))
    return ScoreFinalizer(summing, plan.grid, classes, pipeline.activation)
