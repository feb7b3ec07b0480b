"""Check whether the input suits the model, and the run the free memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gpu_infer.doctor.check import Check, failure
from gpu_infer.errors import GpuInferError, ResourceError

if TYPE_CHECKING:
    from gpu_infer.backends.base.backend import Backend
    from gpu_infer.planning.free_memory import FreeMemory
    from gpu_infer.planning.run_inputs import RunInputs
    from gpu_infer.planning.run_plan import RunPlan
    from gpu_infer.triton.model.info import ModelInfo


def check_plan(
    inputs: RunInputs, models: Sequence[ModelInfo], backend: Backend, data: str | None = None
) -> tuple[RunPlan | None, Check]:
    """Plan windows and memory as a run does; the plan is None if the run would end there.

    data  the data transport; None: not known, so the plan counts no copies of requests
    """
    from gpu_infer.planning.filter_places import with_filter_places
    from gpu_infer.planning.free_memory import free_memory
    from gpu_infer.planning.memory_plan import placement_of
    from gpu_infer.planning.run_plan import make_plan
    from gpu_infer.results.scores import check_score_places

    free, inputs = free_memory(backend), with_filter_places(inputs, backend)
    try:
        plan = make_plan(inputs, models[0], free, placement_of(backend, data=data), further=models[1:])
        check_score_places(plan)
    except GpuInferError as error:
        return None, failure("plan", error)
    return plan, _check_memory(plan, free, data)


def _check_memory(plan: RunPlan, free: FreeMemory, data: str | None) -> Check:
    """What a plan needs of the memory."""
    from gpu_infer.triton.shm.host_arenas import check_space
    from gpu_infer.volume.geometry import format_shape

    settings = plan.inputs.settings
    count = sum(part.grid.distinct_count for part in plan.parts) or plan.grid.distinct_count
    windows = f"{count} window{'s' if count > 1 else ''} over {format_shape(plan.grid.shape)}"
    description = f"{windows}, peak {_format(plan.memory.host_peak)} of {_format(free.with_resident().host)} free"
    if plan.memory.placement.gpu:
        description += f", {_format(plan.memory.device_peak)} of {_format(free.device)} on the GPU"
    if plan.fit.channels_out == -1:
        description += ", for 1 class: the model does not say how many it has"
    if plan.fallbacks:
        steps = [f"{step}, with the same labels" if _is_strips(step) else step for step in plan.fallbacks]
        description += f"; {'; '.join(steps)}"
    if not all(map(_is_strips, plan.fallbacks)):
        return Check("plan", "warn", description, "give the run more memory")
    if data == "system_shm":
        try:
            check_space(plan.memory.arena_bytes)
        except ResourceError as error:
            if data in (settings.data, settings.require):
                return failure("plan", error)
            return Check("plan", "warn", f"{description}; inline data, because {error.message}", error.remedy)
    return Check("plan", "ok", description)


def _is_strips(step: str) -> bool:
    """Whether a step is that to strips, which alone is nothing to warn of."""
    from gpu_infer.planning.volume_choice import STRIP_STEP

    return step.endswith(STRIP_STEP)


def _format(nbytes: int | None) -> str:
    if nbytes is None:
        return "unlimited memory"
    return f"{nbytes / 2**30:.1f} GiB" if nbytes >= 2**30 else f"{nbytes / 2**20:.0f} MiB"
