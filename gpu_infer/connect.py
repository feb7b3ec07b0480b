"""Connect to the Triton server of a run: a local one, or one at an address.

The address comes from options, environment, configuration or `DEFAULT_TRITON`, in this order.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from gpu_infer.config.inferer import InfererSpec
from gpu_infer.config.location import nearest
from gpu_infer.errors import ConfigError, DeadlineError, ModelNotReady
from gpu_infer.settings import DEFAULT_TRITON, Settings
from gpu_infer.triton.client.endpoints import Endpoints
from gpu_infer.triton.client.server import Server
from gpu_infer.triton.model.name import check_model_name

_NAMED = 8  # models of a repository in a message


def connect(
    settings: Settings, inferer: InfererSpec | None, stack: ExitStack, check: Callable[[], None] = lambda: None
) -> Server:
    """Wait for a server and return it.

    With `settings.local_models`, a local Triton is started first; `stack` stops it.

    Args:
        settings: Addresses, protocol, and the time to wait.
        inferer: The configuration's inferer, which may name an address; None without a configuration.
        stack: Stops a local Triton when it closes.
        check: Called before each attempt; an exception from it ends the wait.

    Raises:
        ModelNotReady: The repository of a local Triton, which is not started then, lacks the model.
        ConfigError, ServerError, DeadlineError: What `LocalServer` and `Server.connect` raise.
    """
    if settings.local_models is not None:
        from gpu_infer.triton.local.serve import LocalServer

        names = configured_models(settings, inferer)
        server = LocalServer(settings.local_models, names=names)
        for name in names:  # before the server is installed and started
            check_repository_model(settings.local_models, name)
        local = stack.enter_context(server)
        endpoints = Endpoints(http=local.http, grpc=local.grpc)
        connected = Server.connect(endpoints, str(settings.control), wait_s=settings.ready_wait_s, check=check)
        connected.stops_with_run = True
        return connected
    endpoints, control = server_address(settings, inferer)
    try:
        return Server.connect(endpoints, control, wait_s=settings.connect_wait_s, check=check)
    except DeadlineError as error:
        if settings.wait_s is not None:
            raise
        raise DeadlineError(
            error.message,
            remedy="use --triton local, start a server with `gpu-infer triton serve`, correct the address "
            "(--triton host:port), or wait longer for a server that starts (--wait SECONDS)",
        ) from error


def configured_models(settings: Settings, inferer: InfererSpec | None) -> tuple[str, ...]:
    """Names of the models by option or configuration, usually one; empty if neither names one."""
    if settings.model_name is not None:
        return (settings.model_name,)
    return () if inferer is None else tuple(dict.fromkeys(entry.model_name for entry in inferer.entries))


def check_repository_model(repository: Path, model: str) -> None:
    """Raise ModelNotReady if the repository has no folder of the model; ConfigError if no folder can have its name."""
    check_model_name(model)
    folders = folders_of_models(repository)
    if model not in folders:
        raise ModelNotReady(
            f"model {model} is not in the repository {repository}, which has: {list_names(folders)}",
            remedy=f"gpu-infer models add NAME --onnx {model} --models {repository} adds the file under a name"
            if model.endswith(".onnx")
            else "give its repository with --models, or correct inferer.args.model_name (--model)"
            f"{nearest(model, folders)}",
        )


def folders_of_models(repository: Path) -> list[str]:
    """Names of the folders in a model repository, sorted; ConfigError if it cannot be read."""
    try:
        return sorted(entry.name for entry in repository.iterdir() if entry.is_dir())
    except OSError as error:
        raise ConfigError(
            f"model repository {repository} cannot be read: {error.strerror}", remedy="let this user read it"
        ) from error


def list_names(names: list[str]) -> str:
    """The first names, and the number of the others."""
    rest = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + rest


def server_address(settings: Settings, inferer: InfererSpec | None) -> tuple[Endpoints, str]:
    """Endpoints and control of a server that runs already; `inferer` is None without a configuration.

    The configuration's `protocol` belongs to its `ip` and `port`: it counts only with these, and only if the options
    do not set `control`.
    """
    if settings.explicit_triton:
        endpoints = Endpoints(settings.triton_http, settings.triton_grpc, settings.triton_either, settings.access)
        return endpoints, settings.control
    address = inferer.address if inferer is not None else None
    if inferer is None or address is None:
        return Endpoints(either=DEFAULT_TRITON, access=settings.access), settings.control
    control = settings.control
    if control == "auto" and inferer.protocol is not None:
        control = inferer.protocol
    return Endpoints(either=address, access=settings.access), control
