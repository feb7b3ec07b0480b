"""Free TCP ports on the loopback address."""

from __future__ import annotations

import socket

from gpu_infer.errors import ConfigError

ADDRESS = "127.0.0.1"


def choose_ports(*requested: int) -> tuple[int, ...]:
    """One port per argument, 0 for any free one. Raises ConfigError for a port that is in use or out of range.

    All sockets stay bound until all ports are chosen, so that no port is returned twice. Another process may take a
    port before the server binds it: the caller tries again.
    """
    sockets: list[socket.socket] = []
    try:
        for port in requested:
            if not 0 <= port <= 65535:
                raise ConfigError(
                    f"port {port} is out of range", remedy="give a port from 1 to 65535, 0 for a free one"
                )
            bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            sockets.append(bound)
            # The server sets it too: a port in TIME_WAIT after a restart counts as free.
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                bound.bind((ADDRESS, port))
            except OSError as error:
                raise ConfigError(
                    f"port {port} on {ADDRESS} cannot be used: {error.strerror}",
                    remedy="stop what listens there, give another port, or 0 for a free one",
                ) from error
        return tuple(int(bound.getsockname()[1]) for bound in sockets)
    finally:
        for bound in sockets:
            bound.close()
