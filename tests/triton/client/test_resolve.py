"""The look-up of a host's name takes as long as the system wants; a call does not."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from gpu_infer.errors import DeadlineError
from gpu_infer.triton.client import resolve as module
from gpu_infer.triton.client.failures import ConnectionLost
from gpu_infer.triton.client.http_client import HttpClient
from gpu_infer.triton.client.resolve import resolve


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Names are not found before the end of the test; the event is set when one is looked up."""
    asked, end = threading.Event(), threading.Event()

    def look_up(host: str, port: int, flags: int = 0) -> list[Any]:
        if flags:
            raise socket.gaierror("a name")
        asked.set()
        end.wait(60)
        return []

    monkeypatch.setattr(module, "_look_up", look_up)
    yield asked
    end.set()


def test_addresses_of_numbers_and_names() -> None:
    assert [entry.address for entry in resolve("127.0.0.1", 80, lambda: 1.0)] == [("127.0.0.1", 80)]
    assert resolve("::1", 80, lambda: 1.0)[0].address[:2] == ("::1", 80)
    assert ("127.0.0.1", 80) in [entry.address for entry in resolve("localhost", 80, lambda: 10.0)]


def test_a_name_that_has_no_address() -> None:
    with pytest.raises(OSError, match=r"\[Errno -"):
        resolve("no-such-host.invalid", 80, lambda: 30.0)


def test_a_look_up_that_cannot_begin_or_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    client = HttpClient("localhost:9")

    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        with pytest.raises(ConnectionLost, match="localhost cannot be looked up: can't start new thread"):
            client.server_live(10.0)

    def look_up(host: str, port: int, flags: int = 0) -> list[Any]:
        raise socket.gaierror("a name") if flags else MemoryError("no memory")

    monkeypatch.setattr(module, "_look_up", look_up)
    with pytest.raises(MemoryError, match="no memory"):
        client.server_live(10.0)
    client.close()


def test_a_look_up_that_hangs_ends_at_the_deadline(hanging: threading.Event) -> None:
    client = HttpClient("triton.example:8000")
    with pytest.raises(DeadlineError, match=r"did not end within 0\.3 s"):
        client.server_live(0.3)
    client.close()


def test_a_look_up_that_hangs_can_be_aborted(hanging: threading.Event) -> None:
    client = HttpClient("triton.example:8000")
    errors: list[BaseException] = []

    def call() -> None:
        try:
            client.server_live(60.0)
        except ConnectionLost as error:
            errors.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    assert hanging.wait(30)
    client.abort()
    thread.join(30)
    assert not thread.is_alive()
    assert "the request was cut off" in str(errors[0])
    client.close()
