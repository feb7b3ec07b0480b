"""Connect to the Triton server of a run: a local one, or one at an address.

The address comes from options, environment, configuration or `DEFAULT_TRITON`, in this order.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from gpu_infer.config.inferer import InfererSpec
from gpu_infer.errors import DeadlineError
from gpu_infer.settings import DEFAULT_TRITON, Settings
from gpu_infer.triton.client.endpoints import Endpoints
from gpu_infer.triton.client.server import Server


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
        ConfigError, ServerError, DeadlineError: What `LocalServer` and `Server.connect` raise.
    """
    if settings.local_models is not None:
        from gpu_infer.triton.local.serve import LocalServer

        local = stack.enter_context(LocalServer(settings.local_models))
        endpoints = Endpoints(http=local.http, grpc=local.grpc)
        return Server.connect(endpoints, str(settings.control), wait_s=settings.ready_wait_s, check=check)
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
