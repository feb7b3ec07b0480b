"""Check which memory of this process the server can map, and the data transport that a run takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpu_infer.doctor.check import Check, Status
from gpu_infer.errors import GpuInferError, ResourceError, ServerError
from gpu_infer.settings import Settings
from gpu_infer.triton.client.failures import one_line

if TYPE_CHECKING:
    from gpu_infer.backends.base.backend import Backend
    from gpu_infer.triton.client.server import Server
    from gpu_infer.triton.transport import DataName

NAMES: dict[DataName, str] = {"cuda_shm": "shared GPU", "system_shm": "shared /dev/shm"}
"""Data transports that need memory which the server maps, the best first, and the names of their checks."""


def check_transports(settings: Settings, server: Server, backend: Backend) -> tuple[DataName | None, list[Check]]:
    """The data transport of a run, None if a required one does not work, and the checks.

    For each kind of shared memory, a small region is registered with the server and unregistered; no voxel is sent. A
    refusal is a warning if a run would prefer that memory, and a failure if it must use it.
    """
    from gpu_infer.triton.transport import data_choices

    choices = data_choices(settings.data, settings.require)
    refusals: dict[DataName, GpuInferError] = {}
    tried: list[DataName] = [name for name in NAMES if _is_possible(name, backend) or choices == (name,)]
    for data in tried:
        if (error := _refusal(server, backend, data)) is not None:
            refusals[data] = error
    usable = [data for data in choices if data not in refusals and (data in tried or data == "inline")]
    chosen = usable[0] if usable else None
    preferred = choices if chosen is None else choices[: choices.index(chosen)]
    checks = []
    for data in tried:
        refusal = refusals.get(data)
        if refusal is None:
            checks.append(Check(NAMES[data], "ok", "the server maps memory of this process"))
        elif data not in preferred:
            checks.append(Check(NAMES[data], "ok", f"refused, not needed: {one_line(refusal.message)}"))
        else:
            code = 0 if chosen is not None else refusal.exit_code
            status: Status = "fail" if code else "warn"
            checks.append(Check(NAMES[data], status, one_line(refusal.message), refusal.remedy, code))
    if chosen is not None:
        checks.append(Check("data transport", "ok", f"{chosen} on the {_device(server, backend, chosen)}"))
    return chosen, checks


def _is_possible(data: DataName, backend: Backend) -> bool:
    return data != "cuda_shm" or backend.has_device_memory


def _refusal(server: Server, backend: Backend, data: DataName) -> GpuInferError | None:
    """Why the server does not map memory of this kind; None if it does."""
    from gpu_infer.triton.transport import choose_transport

    try:
        choose_transport(server, backend, (data,))
    except GpuInferError as error:
        # The error of a required transport; its cause has the reason without advice about options.
        cause = error.__cause__
        if not isinstance(cause, ServerError | ResourceError):
            return error
        return type(cause)(cause.message, remedy=cause.remedy or error.remedy)
    return None


def _device(server: Server, backend: Backend, data: DataName) -> str:
    from gpu_infer.triton.transport import Transport

    card = Transport(server, backend, (data,)).card()
    return backend.name if card is None else f"{backend.name} ({card})"
