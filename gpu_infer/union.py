"""The union of several models' labels: one pass over the prepared volume per model, each finished to labels.

One pass after another needs the slots and the accumulator of one model at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.backends.base.masks import LabelTable
from gpu_infer.backends.labels import label_dtype
from gpu_infer.infer_windows import infer_windows
from gpu_infer.nan_scores import explain_nan_scores
from gpu_infer.observer import Observer
from gpu_infer.planning.run_plan import RunPlan
from gpu_infer.progress import Progress, ProgressCallback
from gpu_infer.slot_rings import SlotRings
from gpu_infer.triton.transport import Transport
from gpu_infer.volume.volume import Volume


def unite_labels(
    plan: RunPlan,
    prepared: Array,
    volume: Volume,
    transport: Transport,
    backend: Backend,
    observer: Observer,
    rings: SlotRings,
) -> tuple[RunPlan, Array, None]:
    """The plan in use at the end, and the final labels [X, Y, Z] on the models' grid, on `backend`.

    Labels above 0 of a later part replace those of an earlier one. Raises what `segment` raises.
    """
    dtype = label_dtype(1 + max(max(part.final_labels) for part in plan.parts))
    united = backend.zeros(plan.grid.shape, dtype)
    counters: list[dict[str, Any]] = []
    visits = [part.grid.distinct_count * len(part.grid.mirrors) for part in plan.parts]
    for n, part in enumerate(plan.parts):
        asked = plan.for_part(part)
        with rings.ring(asked, transport, backend) as (ring, pass_plan):
            if pass_plan is not asked:
                plan = replace(plan, memory=pass_plan.memory, fallbacks=pass_plan.fallbacks)
                observer.record_plan(plan)
            progress = _shifted(observer.progress, sum(visits[:n]), sum(visits))
            labels, nans, _ = infer_windows(pass_plan, prepared, ring, backend, progress)
            counters.append(ring.counters())
            if nans:
                observer.warn(explain_nan_scores(nans, pass_plan, volume))
        backend.overlay(labels[None], _table(part.final_labels, labels.dtype, dtype), united[None])
        del labels  # before the next pass makes its own
    observer.record_inference(plan, _total(counters))
    return plan, united, None


def _table(final_labels: Sequence[int], dtype: np.dtype[Any], final: np.dtype[Any]) -> LabelTable:
    """The final label of every number that a part's dtype holds."""
    table = np.zeros(1 << 8 * dtype.itemsize, final)
    table[: len(final_labels)] = final_labels
    return table


def _shifted(progress: ProgressCallback, before: int, total: int) -> ProgressCallback:
    """`progress` of one pass, as part of all passes."""

    def shifted(event: Progress) -> None:
        progress(replace(event, done=before + event.done, total=total))

    return shifted


def _total(counters: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The counters of all passes: numbers are added, everything else is that of the last one."""
    total = dict(counters[-1])
    for key, value in total.items():
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            total[key] = sum(each[key] for each in counters)
    return total
