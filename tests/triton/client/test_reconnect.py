"""A second try after a lost connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from triton_fakes import FakeServer

from gpu_infer.errors import DeadlineError, ServerError
from gpu_infer.triton.client.failures import ConnectionLost
from gpu_infer.triton.client.reconnect import try_again


def failing(*errors: Exception) -> Callable[[], str]:
    """An action that raises one error after the other, and then returns "done"."""
    remaining = list(errors)

    def action() -> str:
        if remaining:
            raise remaining.pop(0)
        return "done"

    return action


def test_a_lost_connection_is_tried_once_more() -> None:
    server: Any = FakeServer()
    assert try_again(failing(), server, [("toy", "")], 1.0) == "done"
    assert try_again(failing(ConnectionLost("reset")), server, [("toy", "")], 1.0) == "done"
    with pytest.raises(ConnectionLost, match="second"):
        try_again(failing(ConnectionLost("first"), ConnectionLost("second")), server, [("toy", "")], 1.0)


def test_other_errors_are_not_tried_again() -> None:
    server: Any = FakeServer()
    with pytest.raises(ServerError, match="no such region"):
        try_again(failing(ServerError("no such region")), server, [("toy", "")], 1.0)


def test_a_server_that_does_not_come_back() -> None:
    server: Any = FakeServer(ready=False)
    with pytest.raises(DeadlineError, match=r"lost the connection to Triton at fake:1, .* within 0\.1 s"):
        try_again(failing(ConnectionLost("reset")), server, [("toy", "")], 0.1)
