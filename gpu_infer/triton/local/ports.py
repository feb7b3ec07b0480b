"""Free TCP ports on the loopback address."""

from __future__ import annotations

import socket

from gpu_infer.errors import ConfigError

ADDRESS = "127.0.0.1"


def choose_ports(*asked: int) -> tuple[int, ...]:
    """One port per argument, 0 for any free one. Raises ConfigError for a port that is taken or out of range.

    All sockets stay bound until all ports are chosen, so that no port is given twice. Between this and the
    server's own bind another process may take one: the caller retries.
    """
    sockets: list[socket.socket] = []
    try:
        for port in asked:
            if not 0 <= port <= 65535:
                raise ConfigError(
                    f"port {port} is out of range", remedy="give a port from 1 to 65535, 0 for a free one"
                )
            held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            sockets.append(held)
            # As the server does: a port in TIME_WAIT after a restart counts as free.
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                held.bind((ADDRESS, port))
            except OSError as error:
                raise ConfigError(
                    f"port {port} on {ADDRESS} cannot be used: {error.strerror}",
                    remedy="stop what listens there, give another port, or 0 for a free one",
                ) from error
        return tuple(int(held.getsockname()[1]) for held in sockets)
    finally:
        for held in sockets:
            held.close()
