"""Checks of the server, the model, the data transport, and leftovers of killed runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from gpu_infer.doctor.check import Check
from gpu_infer.doctor.driver import check_driver_library
from gpu_infer.errors import GpuInferError
from gpu_infer.settings import Settings

if TYPE_CHECKING:
    from gpu_infer.config.config import Config
    from gpu_infer.triton.client.protocol import TritonClient
    from gpu_infer.triton.client.server import Server
    from gpu_infer.triton.model.info import ModelInfo
    from gpu_infer.triton.shm.leftovers import Leftover


def check_server(settings: Settings, *, fit: bool = False, clean: bool = False) -> list[Check]:
    """Checks in order; if the server does not answer, the list ends with the checks that need this host alone.

    fit    read the input's header, and plan windows and memory for it as a run does
    clean  remove leftovers
    """
    from gpu_infer.connect import connect

    config, checks = _check_config(settings)
    if settings.local_models is not None:
        from gpu_infer.triton.local.install import installed

        runtime = installed()
        checks += check_driver_library(os.environ if runtime is None else runtime.environment())
    with ExitStack() as stack:
        try:
            server = connect(settings, config.inferer if config is not None else None, stack)
        except GpuInferError as error:
            return [*checks, _failure("triton", error), *_check_leftovers(None, clean)]
        checks.append(Check("triton", "ok", f"version {server.version} at {server.url} over {server.control}"))
        checks += _check_model(settings, config, server, fit=fit)
        checks.append(_check_data(settings, server))
        return checks + _check_leftovers(server, clean)


def _failure(name: str, error: GpuInferError) -> Check:
    return Check(name, "fail", error.message, error.remedy, error.exit_code)


def _check_config(settings: Settings) -> tuple[Config | None, list[Check]]:
    from gpu_infer.config.load import load_config

    try:
        config = load_config(settings.config, os.environ)
    except GpuInferError as error:
        return None, [_failure("config", error)]
    return config, [Check("config", "ok", str(settings.config))]


def _check_model(settings: Settings, config: Config | None, server: Server, *, fit: bool) -> list[Check]:
    name = settings.model_name or (config.inferer.model_name if config is not None else None)
    if name is None:
        return [Check("model", "warn", "no model name is known", "give --model, or a --config that names one")]
    inferer = config.inferer if config is not None else None
    try:
        model = server.model(
            name,
            (inferer.model_version if inferer else None) or "",
            input_name=inferer.input_name if inferer else None,
            output_name=inferer.output_name if inferer else None,
            wait_s=settings.ready_wait_s,
            load=settings.load_model,
        )
    except GpuInferError as error:
        return [_failure("model", error)]
    description = (
        f"{model.name} version {model.version}: {model.input.datatype} {_dims(model.input.dims)} → "
        f"{_dims(model.output.dims)}, batch up to {model.max_batch}"
    )
    roi = settings.roi_size or (inferer.roi_size if inferer else None)
    if -1 in model.input.dims[-3:] and roi is None:
        return [Check("model", "warn", description, "the model leaves its window open: set roi_size, or give --roi")]
    checks = [Check("model", "ok", description)]
    return [*checks, _check_fit(settings, config, model)] if fit and config is not None else checks


def _check_fit(settings: Settings, config: Config, model: ModelInfo) -> Check:
    """Whether the input suits the model, and the run this host's memory."""
    from gpu_infer.backends.choose import choose_backend
    from gpu_infer.planning.free_memory import free_memory
    from gpu_infer.planning.memory_plan import placement_of
    from gpu_infer.planning.run_inputs import RunInputs, input_options
    from gpu_infer.planning.run_plan import make_plan
    from gpu_infer.volume.geometry import format_shape
    from gpu_infer.volume.open_input import open_input

    try:
        pipeline = config.pipeline()
        with open_input(settings.input, input_options(settings, config, pipeline)) as header:
            inputs = RunInputs(settings, config, pipeline, header)
        data = settings.require or (None if settings.data == "auto" else settings.data)
        backend = choose_backend(settings.device)
        plan = make_plan(inputs, model, free_memory(backend), placement_of(backend, data=data))
    except GpuInferError as error:
        return _failure("fit", error)
    windows = f"{plan.grid.distinct_count} windows over {format_shape(plan.grid.shape)}"
    description = f"{windows}, peak {plan.memory.host_peak / 2**20:.1f} MiB"
    if plan.memory.placement.gpu:
        description += f", {plan.memory.device_peak / 2**20:.1f} MiB of the GPU"
    if plan.fallbacks:
        return Check("fit", "warn", f"{description}; {'; '.join(plan.fallbacks)}", "give the run more memory")
    return Check("fit", "ok", description)


def _check_data(settings: Settings, server: Server) -> Check:
    """Choose the data transport as a run does; no voxel is sent."""
    from gpu_infer.backends.choose import choose_backend
    from gpu_infer.triton.transport import choose_transport, data_choices

    try:
        backend = choose_backend(settings.device)
        transport = choose_transport(server, backend, data_choices(settings.data, settings.require))
        skipped = "".join(f"; not {choice}: {reason}" for choice, reason in transport.skipped)
        card = transport.card()
        device = backend.name if card is None else f"{backend.name} ({card})"
        description = f"{transport.data} on the {device}{skipped}"
        slow = transport.data == "inline" and settings.data != "inline"
    except GpuInferError as error:
        return _failure("voxels", error)
    if slow:
        return Check(
            "voxels",
            "warn",
            description,
            "run on the server's host, with its /dev/shm (--ipc=host for both containers)",
        )
    return Check("voxels", "ok", description)


def _check_leftovers(server: Server | None, clean: bool) -> list[Check]:
    """Segments of dead processes in /dev/shm, and regions of theirs that the server still holds."""
    from gpu_infer.triton.shm.leftovers import find_leftovers
    from gpu_infer.triton.shm.segment_users import foreign_segments

    client = server.client() if server is not None else None
    try:
        leftovers = find_leftovers(client)
        foreign = foreign_segments()
        if not leftovers and not foreign:
            return [Check("leftovers", "ok", "none")]
        if not leftovers:
            listed = ", ".join(map(str, foreign))
            return [Check("leftovers", "ok", f"none of this user; of others, whose runs may live: {listed}")]
        listed = ", ".join(str(item) for item in leftovers)
        if not clean:
            return [Check("leftovers", "warn", listed, "gpu-infer doctor --clean removes them")]
        if client is None:
            # Their regions may still be registered; without the files nothing could find them any more.
            remedy = "start the server, or name it with --triton (local if the run did), and --clean again"
            return [Check("leftovers", "warn", f"not removed, no server to ask about them: {listed}", remedy)]
        return clean_leftovers(leftovers, client)
    except GpuInferError as error:
        return [_failure("leftovers", error)]
    except OSError as error:
        return [Check("leftovers", "fail", str(error), "delete the file as its owner or as root", 5)]
    finally:
        if client is not None:
            client.close()


def clean_leftovers(leftovers: Sequence[Leftover], client: TritonClient) -> list[Check]:
    """Remove what no server needs any more.

    A segment that the server of `client` does not know but a process maps is registered with another server: that one
    must be asked, and finds its region by the segment alone.
    """
    from gpu_infer.triton.shm.leftovers import clean
    from gpu_infer.triton.shm.segment_users import mapped_by

    users = {item.name: mapped_by(item.path) if item.region is None else [] for item in leftovers}
    removable = [item for item in leftovers if not users[item.name]]
    used = [f"{item}, used by process {', '.join(users[item.name])}" for item in leftovers if users[item.name]]
    clean(removable, client)
    checks = [Check("leftovers", "ok", f"removed: {', '.join(map(str, removable))}")] if removable else []
    if used:
        remedy = "name the server that this process is with --triton, and --clean again"
        checks.append(Check("leftovers", "warn", f"not removed, unknown to {client.url}: {'; '.join(used)}", remedy))
    return checks


def _dims(dims: tuple[int, ...]) -> str:
    return "×".join("?" if size < 0 else str(size) for size in dims)
