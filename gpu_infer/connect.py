"""Which server a run talks to: options, environment, configuration, `DEFAULT_TRITON`, in this order."""

from __future__ import annotations

from gpu_infer.config.inferer import InfererSpec
from gpu_infer.settings import DEFAULT_TRITON, Settings
from gpu_infer.triton.client.endpoints import Endpoints


def server_address(settings: Settings, inferer: InfererSpec | None) -> tuple[Endpoints, str]:
    """(endpoints, control) of a server that runs already; `inferer` None: no configuration is at hand.

    The configuration's `protocol` belongs to its `ip` and `port`: it counts where these do, and where no
    `control` was asked for.
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
