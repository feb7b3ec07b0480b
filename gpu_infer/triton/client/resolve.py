"""The addresses of a host, looked up within a limited time."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

POLL_S = 0.1


class HostAddress(NamedTuple):
    """What `socket.socket` and its `connect` need for one address of a host."""

    family: int
    kind: int
    protocol: int
    address: tuple[Any, ...]


def resolve(host: str, port: int, remaining: Callable[[], float]) -> list[HostAddress]:
    """The addresses of a host, in the order in which they are to be tried.

    The system's look-up of a name has no time limit and cannot be interrupted, so it has a thread of its own.

    remaining  seconds left; raises an exception, which ends the wait, if there are none or the call was aborted

    Raises OSError if the name has no address.
    """
    try:
        return _look_up(host, port, socket.AI_NUMERICHOST)
    except socket.gaierror:
        pass  # a name
    results: list[list[HostAddress] | Exception] = []
    done = threading.Event()

    def run() -> None:
        try:
            results.append(_look_up(host, port))
        except Exception as error:  # the waiting thread raises it
            results.append(error)
        finally:
            done.set()

    try:
        threading.Thread(target=run, name="resolve", daemon=True).start()
    except RuntimeError as error:  # too many threads for now
        raise OSError(f"{host} cannot be looked up: {error}") from None
    while not done.wait(min(POLL_S, remaining())):
        pass
    result = results[0]
    if isinstance(result, Exception):
        raise result
    return result


def _look_up(host: str, port: int, flags: int = 0) -> list[HostAddress]:
    infos = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM, socket.IPPROTO_TCP, flags)
    return [HostAddress(family, kind, protocol, address) for family, kind, protocol, _, address in infos]
