"""Checks of the server: whether it answers, its models, its view of this process's memory, and the plan of a run."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from gpu_infer.doctor.check import Check, failure
from gpu_infer.doctor.leftovers import check_leftovers
from gpu_infer.doctor.local_server import check_repository, check_runtime
from gpu_infer.doctor.models import check_index, check_models
from gpu_infer.doctor.plan import check_plan
from gpu_infer.doctor.server_memory import check_server_memory
from gpu_infer.doctor.transports import check_transports
from gpu_infer.errors import DeadlineError, GpuInferError
from gpu_infer.settings import Settings

if TYPE_CHECKING:
    from gpu_infer.backends.base.backend import Backend
    from gpu_infer.config.config import Config
    from gpu_infer.planning.run_inputs import RunInputs
    from gpu_infer.triton.client.server import Server

NAME = "triton"
_THIS_HOST = ("localhost:", "127.", "[::1]:")
"""Begins an address of this host, at which the packaged configuration looks for a server."""


def check_server(
    settings: Settings,
    config: Config | None,
    inputs: RunInputs | None,
    backend: Backend,
    *,
    clean: bool = False,
) -> list[Check]:
    """Check the server that a run with `settings` uses.

    With `--triton local`, an installed server is started as a run would start it, and stopped; it is not installed.

    Args:
        settings: those of the run.
        config: None if it is not valid.
        inputs: what is known for a plan; None without a readable input.
        backend: of the run.
        clean: remove leftovers of killed runs.
    """
    from gpu_infer.connect import configured_models, connect

    checks: list[Check] = []
    if settings.local_models is not None:
        is_installed, checks = check_runtime()
        names = configured_models(settings, config.inferer if config is not None else None)
        repository = check_repository(settings.local_models, names)
        if not is_installed or repository.status == "fail":
            plan = _check_local_plan(inputs, backend) if repository.status == "ok" else []
            return [*checks, repository, *plan, *check_leftovers(None, clean)]
    with ExitStack() as stack:
        try:
            server = connect(settings, config.inferer if config is not None else None, stack)
        except GpuInferError as error:
            return [*checks, failure(NAME, _with_ways(settings, config, error)), *check_leftovers(None, clean)]
        checks.append(Check(NAME, "ok", f"version {server.version} at {server.url} over {server.control}"))
        checks += _check_run(settings, config, inputs, backend, server)
        return checks + check_leftovers(server, clean)


def _check_run(
    settings: Settings, config: Config | None, inputs: RunInputs | None, backend: Backend, server: Server
) -> list[Check]:
    """What a run asks of a server that answers."""
    from gpu_infer.connect import configured_models

    entries, index = check_index(server, configured_models(settings, config.inferer if config is not None else None))
    models, model_checks = check_models(settings, config, server, entries)
    data, transports = check_transports(settings, server, backend)
    checks = [index, *model_checks, *transports]
    plan = None
    if inputs is not None and models:
        plan, check = check_plan(inputs, models, backend, data)
        checks.append(check)
    if settings.local_models is not None and models:
        checks += check_server_memory(settings, config, models, plan, data)
    return checks


def _check_local_plan(inputs: RunInputs | None, backend: Backend) -> list[Check]:
    """The plan of a run with the model as its repository describes it; no check if that does not suffice."""
    from gpu_infer.planning.run_inputs import model_entries
    from gpu_infer.triton.model.repository import model_in_repository

    if inputs is None or inputs.settings.local_models is None:
        return []
    slices = inputs.config.inferer.takes_slices
    models = []
    try:
        for entry in model_entries(inputs.config, inputs.settings):
            model = model_in_repository(
                inputs.settings.local_models,
                entry.model_name,
                entry.model_version or "",
                input_name=entry.input_name,
                output_name=entry.output_name,
                batch=inputs.batch_size,
                slices=slices,
            )
            if model is None:
                return []
            models.append(model)
    except GpuInferError as error:
        return [failure("model", error)]
    plan, check = check_plan(inputs, models, backend)
    return [check, *check_server_memory(inputs.settings, inputs.config, models, plan, None)]


def _with_ways(settings: Settings, config: Config | None, error: GpuInferError) -> GpuInferError:
    """The error of a server that does not answer, with the ways to have one as its remedy."""
    if settings.local_models is not None or not isinstance(error, DeadlineError):
        return error
    address = config.inferer.address if config is not None else None
    if settings.explicit_triton:
        remedy = (
            "start the server, or correct the address (--triton HOST:PORT, NVIDIA_CLARA_TRTISURI); --triton local "
            "needs no server"
        )
    elif address is not None and not address.startswith(_THIS_HOST):
        remedy = (
            "start the server, or correct `ip` and `port` of the configuration's inferer; --triton HOST:PORT and "
            "--triton local override them"
        )
    else:
        remedy = (
            "add --triton local to this command and to `gpu-infer run`, which starts a server for that run; or start "
            "one in another terminal with `gpu-infer triton serve`; or name yours with --triton HOST:PORT "
            "(NVIDIA_CLARA_TRTISURI)"
        )
    return DeadlineError(error.message, remedy=remedy)
