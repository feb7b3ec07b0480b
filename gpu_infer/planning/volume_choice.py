"""Choose between the whole volume in memory and strips of it."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from gpu_infer.errors import ResourceError
from gpu_infer.inferers.model_fit import Fit
from gpu_infer.inferers.windows import WindowGrid
from gpu_infer.planning.fallbacks import GIB, fit_memory
from gpu_infer.planning.free_memory import FreeMemory, check_stored
from gpu_infer.planning.memory_plan import MemoryPlan, Placement
from gpu_infer.planning.run_inputs import RunInputs
from gpu_infer.planning.strips import (
    is_large,
    options_prevent_strips,
    strip_chain,
    strip_dtypes,
    strip_sizes,
    strips_refusal,
    window_refusal,
)
from gpu_infer.transforms.chain.strips import StripChain
from gpu_infer.transforms.chain.trace import Trace
from gpu_infer.triton.model.info import ModelInfo
from gpu_infer.volume.geometry import format_shape

STRIP_STEP = ": strip by strip"
"""End of the line of the step from the whole volume to strips; all others reduce the plan further."""


class StripWindows(NamedTuple):
    """The windows, and the model that sees them."""

    grid: WindowGrid
    fit: Fit
    model: ModelInfo


def fit_volume(
    inputs: RunInputs, plan: MemoryPlan, free: FreeMemory, windows: StripWindows, refusal: str
) -> tuple[MemoryPlan, list[str], StripChain | None]:
    """Fit the plan of the whole volume into `free`, or that of strips if it does not fit.

    refusal  why there can be no strips, in words; empty if they are possible

    Returns:
        The plan, one line for each fallback, and the chain of strips; None for the whole volume.

    Raises:
        ResourceError: Neither fits.
    """
    try:
        return *fit_memory(plan, free.with_resident()), None
    except ResourceError as error:
        if refusal:
            windows_fit = not window_refusal(windows.grid, windows.fit)
            raise _with_reason(error, inputs, refusal, has_way_out=windows_fit) from None
        shortage = error.message
    chain = strip_chain(inputs)
    assert isinstance(chain, StripChain)
    grid, fit, model = windows
    sizes = strip_sizes(plan.sizes, chain, grid, fit, strip_dtypes(inputs, model.input.dtype))
    in_strips = MemoryPlan(sizes, plan.placement, replace(plan.knobs, strips=True))
    try:
        memory, fallbacks = fit_memory(in_strips, free.with_resident())
    except ResourceError as error:
        raise ResourceError(f"{shortage}; strip by strip, {error.message}", remedy=error.remedy) from None
    return memory, [f"memory: {shortage}{STRIP_STEP}", *fallbacks], chain


def check_transforms(inputs: RunInputs, trace: Trace, free: FreeMemory, placement: Placement, refusal: str) -> None:
    """Raise ResourceError if the transforms alone need more than is free, before windows are placed on a huge grid."""
    header = inputs.header
    limit = free.device if placement.gpu else free.host
    if limit is not None and trace.peak_bytes > limit:
        error = ResourceError(
            f"{header.path}: {format_shape(header.geometry.shape)} becomes {format_shape(trace.model_shape)} for the "
            f"model: the transforms alone need {trace.peak_bytes / GIB:.1f} GiB of "
            f"{'the GPU' if placement.gpu else 'memory'}, {limit / GIB:.1f} GiB are free",
            remedy="check the target and the spacing in the file, or give the run more memory",
        )
        raise _with_reason(error, inputs, refusal)


def check_whole(inputs: RunInputs) -> None:
    """Raise ResourceError if the run needs the whole volume in memory, and its voxels alone do not fit.

    The error says why, and whether it would be otherwise without some options.
    """
    refusal, header = strips_refusal(inputs), inputs.header
    if not refusal:
        return
    try:
        check_stored(header.nbytes + header.extra, header.path)
    except ResourceError as error:
        raise _with_reason(error, inputs, refusal) from None


def _with_reason(error: ResourceError, inputs: RunInputs, refusal: str, *, has_way_out: bool = True) -> ResourceError:
    """The error with what needs the whole volume; with `has_way_out` and if only options do, its remedy says so."""
    remedy = error.remedy
    if has_way_out and options_prevent_strips(inputs):
        remedy = f"without these options the run can work strip by strip; or {remedy}"
    return ResourceError(f"{error.message}{whole_reason(inputs, refusal)}", remedy=remedy)


def whole_reason(inputs: RunInputs, refusal: str) -> str:
    """The end of a line about memory: why a large volume must be whole in it; empty for other volumes."""
    return f"; it must be whole in memory: {refusal}" if refusal and is_large(inputs) else ""
