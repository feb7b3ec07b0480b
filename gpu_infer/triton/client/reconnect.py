"""Another try after a lost connection: once, as soon as the server is back."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from gpu_infer.triton.client.failures import ConnectionLost
from gpu_infer.triton.client.server import Server, wait_until_ready

T = TypeVar("T")

log = logging.getLogger(__name__)


def await_server(server: Server, model: str, version: str, wait_s: float) -> None:
    """Wait for a server that went away, and its model; DeadlineError after `wait_s`."""
    client = server.client()
    try:
        wait_until_ready(client, model, version, wait_s)
    finally:
        client.close()


def try_again(action: Callable[[], T], server: Server, model: str, version: str, wait_s: float) -> T:
    """What `action` returns, from a second call if the connection is lost during the first.

    For questions that may be asked twice. Raises what `action` raises, DeadlineError if the server is not back in time.
    """
    try:
        return action()
    except ConnectionLost as error:
        log.warning("%s: waiting up to %g s for the server", error.message, wait_s)
    await_server(server, model, version, wait_s)
    return action()
