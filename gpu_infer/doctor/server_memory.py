"""Check that a local Triton has shared memory for the windows of a request."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gpu_infer.doctor.check import Check, failure
from gpu_infer.errors import ResourceError
from gpu_infer.triton.client.failures import SMALL_POOL
from gpu_infer.triton.shm.naming import SHM_FOLDER

if TYPE_CHECKING:
    from gpu_infer.config.config import Config
    from gpu_infer.planning.run_plan import RunPlan
    from gpu_infer.settings import Settings
    from gpu_infer.triton.model.info import ModelInfo

NAME = "server memory"

_MARGIN = 1.5
"""The backend's pool has gaps between windows: requests of 150 MiB failed with 180 MiB, and not with 200 MiB."""

_PYTHON = "python"
"""The backend that copies the windows of a request, in and out, into /dev/shm for its other process."""


def check_server_memory(
    settings: Settings, config: Config | None, models: Sequence[ModelInfo], plan: RunPlan | None, data: str | None
) -> list[Check]:
    """A failure if the server would refuse a request of the run for lack of shared memory, a warning if it might.

    No check if there is enough.

    Args:
        settings: those of the run.
        config: None if it is not valid.
        models: of the run. Those of a mean of scores run at the same time.
        plan: None if it is not known: then one window counts, if the sizes of the model and --roi tell its size.
        data: the data transport of the run, None if it is not known.
    """
    models = [model for model in models if model.platform == _PYTHON]
    if not models:
        return []
    nbytes = _request_bytes(settings, config, models, plan)
    if nbytes is None:
        return []
    free = shutil.disk_usage(SHM_FOLDER).free
    arena = plan.memory.arena_bytes if plan is not None and _may_share(settings, plan, data) else 0
    if arena > free:  # windows travel inline
        arena = 0
    if nbytes * _MARGIN + arena <= free:
        return []
    needed = f"the local Triton needs {_mib(nbytes)} for the windows of a request"
    if arena:
        needed += f", and the slots of the run {_mib(arena)}"
    message = f"{SHM_FOLDER} has {_mib(free)} free, {needed}"
    if nbytes + arena <= free:
        return [Check(NAME, "warn", f"{message}, and up to half as much again for itself", SMALL_POOL)]
    return [failure(NAME, ResourceError(message, remedy=SMALL_POOL))]


def _request_bytes(
    settings: Settings, config: Config | None, models: Sequence[ModelInfo], plan: RunPlan | None
) -> int | None:
    """Bytes of the windows that the server has copies of at a time; None if the size of a window is not known."""
    if plan is not None:
        return plan.memory.sent_bytes
    windows = [_window_bytes(settings, config, model) for model in models]
    known = [nbytes for nbytes in windows if nbytes is not None]
    return sum(known) if len(known) == len(windows) else None


def _may_share(settings: Settings, plan: RunPlan, data: str | None) -> bool:
    """Whether the slots of the run are in shared memory, if they fit."""
    if plan.memory.placement.device_slots:
        return False
    return "inline" not in (data, settings.data, settings.require)


def _window_bytes(settings: Settings, config: Config | None, model: ModelInfo) -> int | None:
    """Bytes of one window, in and out; None if its size is not known."""
    roi = settings.roi_size or (config.inferer.roi_size if config is not None else None)
    total, spatial = 0, 1 - len(model.input.dims)  # labels may have no axis of channels; a roi is 1 across slices
    for tensor in (model.input, model.output):
        dims = tensor.dims
        if any(size < 0 for size in dims):
            if roi is None or sum(size < 0 for size in dims[spatial:]) != sum(size < 0 for size in dims):
                return None
            dims = (*dims[:spatial], *roi)
        total += math.prod(dims) * tensor.dtype.itemsize
    return total


def _mib(nbytes: int) -> str:
    return f"{nbytes / 2**20:.0f} MiB"
