"""The protocol that is taken if a server can have both, and the one for inline data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from gpu_infer.triton.client import server as module
from gpu_infer.triton.client.endpoints import Endpoints
from gpu_infer.triton.client.failures import connection_lost
from gpu_infer.triton.client.server import Server

BOTH = Endpoints(http="h:8000", grpc="h:8001")


@dataclass
class Ports:
    """A server whose protocols answer from the given try on."""

    answers_from: dict[str, int]
    versions: dict[str, str] = field(default_factory=dict)
    tries: dict[str, int] = field(default_factory=lambda: {"http": 0, "grpc": 0})

    def client(self, name: str, url: str, access: object) -> Any:
        return PortClient(self, name, url)


@dataclass
class PortClient:
    ports: Ports
    name: str
    url: str

    def server_live(self, timeout: float) -> bool:
        self.ports.tries[self.name] += 1
        if self.ports.tries[self.name] < self.ports.answers_from.get(self.name, 10**9):
            raise connection_lost("liveness", self.url, "refused")
        return True

    def server_version(self, timeout: float) -> str:
        return self.ports.versions.get(self.name, "2.51.0")

    def close(self) -> None:
        pass


def connected(monkeypatch: pytest.MonkeyPatch, control: str = "auto", **answers_from: int) -> Server:
    monkeypatch.setattr(module, "make_client", Ports(answers_from).client)
    return Server.connect(BOTH, control, wait_s=30.0, interval_s=0.01)


def test_http_is_taken_if_both_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    assert connected(monkeypatch, http=1, grpc=1).url == "h:8000"
    assert connected(monkeypatch, "grpc", http=1, grpc=1).url == "h:8001"


def test_grpc_is_taken_from_a_server_without_http(monkeypatch: pytest.MonkeyPatch) -> None:
    assert connected(monkeypatch, grpc=1).url == "h:8001"
    assert connected(monkeypatch, grpc=3).url == "h:8001"


def test_a_server_that_starts_answers_over_grpc_first(monkeypatch: pytest.MonkeyPatch) -> None:
    assert connected(monkeypatch, grpc=2, http=3).url == "h:8000"


def test_a_port_that_never_answers_is_left_soon_for_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the first round alone: a server that is slow for some seconds is found in the next one."""
    calls: list[tuple[str, float]] = []
    live = PortClient.server_live

    def timed(client: PortClient, timeout: float) -> bool:
        calls.append((client.name, timeout))
        return live(client, timeout)

    monkeypatch.setattr(PortClient, "server_live", timed)
    assert connected(monkeypatch, grpc=1).url == "h:8001"
    (first, short_s), second = calls
    assert (first, second) == ("http", ("grpc", 5.0))
    assert short_s <= 1.5
    calls.clear()
    assert connected(monkeypatch, http=2).url == "h:8000"
    (first, short_s), _, (last, long_s) = calls
    assert first == last == "http"
    assert short_s <= 1.5 < long_s <= 5
    calls.clear()
    assert connected(monkeypatch, "http", http=1).url == "h:8000"
    assert calls == [("http", 5.0)]


def test_inline_data_take_grpc_if_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    server = connected(monkeypatch, http=1, grpc=1)
    server.stops_with_run = True
    inline = server.for_inline()
    assert (inline.control, inline.url, inline.stops_with_run) == ("grpc", "h:8001", True)
    assert inline.for_inline() is inline
    alone = connected(monkeypatch, http=1)
    assert alone.for_inline() is alone


def test_inline_data_do_not_go_to_another_server(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = Ports({"http": 1, "grpc": 1}, {"grpc": "2.62.0"})
    monkeypatch.setattr(module, "make_client", ports.client)
    server = Server.connect(BOTH, wait_s=30.0)
    assert server.for_inline() is server
    ports.versions.clear()
    assert server.for_inline().control == "grpc"


def test_a_protocol_that_was_asked_for_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    server = connected(monkeypatch, "http", http=1, grpc=1)
    assert server.for_inline() is server
