"""Whether a process listens at a server's address, for any protocol."""

from __future__ import annotations

import socket

from gpu_infer.triton.client.endpoints import parse_uri


def nobody_listens(url: str, timeout: float) -> bool:
    """Whether a connection to "host:port" is refused: the process that listened there has ended.

    After a time-out, or if the name has no address or the host no route, the process may live: False.
    `timeout` is in seconds, for each address of the host.
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
