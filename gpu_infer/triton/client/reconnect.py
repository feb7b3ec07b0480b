"""Wait for the server after a lost connection, and try once more."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

from gpu_infer.triton.client.failures import ConnectionLost
from gpu_infer.triton.client.server import Server, wait_until_ready

T = TypeVar("T")

log = logging.getLogger(__name__)


def await_server(server: Server, model: str, version: str, wait_s: float) -> None:
    """Wait until a server and its model are ready again; DeadlineError after `wait_s`."""
    client = server.client()
    try:
        wait_until_ready(client, model, version, wait_s)
    finally:
        client.close()


def try_again(action: Callable[[], T], server: Server, models: Sequence[tuple[str, str]], wait_s: float) -> T:
    """The result of `action`, which is called again if the first call loses the connection.

    models  (name, version) of those that must be ready before the second call

    For actions that may be repeated. Raises the errors of `action`, and DeadlineError if the server is not ready again
    in time.
    """
    try:
        return action()
    except ConnectionLost as error:
        log.warning("%s: waiting up to %g s for the server", error.message, wait_s)
    for model, version in models:
        await_server(server, model, version, wait_s)
    return action()
