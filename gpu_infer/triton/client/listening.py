"""Whether anybody answers at a server's address, whatever protocol it speaks."""

from __future__ import annotations

import socket

from gpu_infer.triton.client.endpoints import parse_uri


def nobody_listens(url: str, timeout: float) -> bool:
    """Whether a connection to "host:port" is refused: the process that listened there has ended.

    A time-out, a name that cannot be resolved or a route that is missing tell nothing of the process: False.
    `timeout` seconds hold for each address of the host.
    """
    try:
        socket.create_connection(parse_uri(url), timeout, all_errors=True).close()
    except ExceptionGroup as group:
        # "localhost" has an IPv6 address also on hosts that cannot use it
        refused = any(isinstance(error, ConnectionRefusedError) for error in group.exceptions)
        return refused and not any(isinstance(error, TimeoutError) for error in group.exceptions)
    except OSError:
        return False
    return False
