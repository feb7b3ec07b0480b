"""A host with several addresses, of which the first is of no use."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from canned_http import canned, response
from tls_proxy import Certificates, tls_proxy

from gpu_infer.triton.client import http_socket
from gpu_infer.triton.client import resolve as module
from gpu_infer.triton.client.access import Access
from gpu_infer.triton.client.failures import AccessDenied
from gpu_infer.triton.client.http_client import HttpClient
from gpu_infer.triton.client.http_socket import HttpSocket
from gpu_infer.triton.client.resolve import HostAddress

HostHas = Callable[..., None]


@pytest.fixture
def host_has(monkeypatch: pytest.MonkeyPatch) -> HostHas:
    """Sets the (address, port) pairs of every name."""

    def set_addresses(*addresses: tuple[str, int]) -> None:
        def look_up(host: str, port: int, flags: int = 0) -> list[HostAddress]:
            if flags:
                raise socket.gaierror("a name")
            return [HostAddress(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, pair) for pair in addresses]

        monkeypatch.setattr(module, "_look_up", look_up)

    return set_addresses


@pytest.fixture
def silent() -> Iterator[tuple[str, int]]:
    """An address that neither accepts nor refuses connections."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.7", 0))
        listener.listen(0)
        address = listener.getsockname()
        for _ in range(3):  # more than its queue takes
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
        yield address


def test_the_next_address_is_tried_before_the_deadline(host_has: HostHas, silent: tuple[str, int]) -> None:
    with canned(response(b"")) as address:
        port = int(address.rpartition(":")[2])
        host_has(silent, ("127.0.0.1", port))
        client = HttpClient(f"triton.example:{port}")
        assert client.server_live(4.0)
        client.close()


def test_a_refused_connection_does_not_hide_an_untrusted_certificate(host_has: HostHas, tmp_path: Path) -> None:
    """As localhost, of which the server may listen at one of two addresses: waiting does not help."""
    certificates = Certificates(tmp_path)
    with canned(response(b"")) as plain, tls_proxy(plain, certificates.context(want_client=False)) as address:
        port = int(address.rpartition(":")[2])
        host_has(("127.0.0.9", port), ("127.0.0.1", port))
        client = HttpClient(f"https://{address}")
        with pytest.raises(AccessDenied, match="certificate verify failed"):
            client.server_live(10.0)
        client.close()


def test_a_connection_ends_if_its_host_vanishes() -> None:
    """Without these options of the system, a request waits until its deadline."""
    with canned(response(b"")) as address:
        wire = HttpSocket(address, Access())
        wire.begin(10.0)
        wire.open()
        connection = wire._socket
        assert connection is not None
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        seconds = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
        seconds += connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) * connection.getsockopt(
            socket.IPPROTO_TCP, socket.TCP_KEEPCNT
        )
        assert seconds < 120
        wire.send(b"GET /v2 HTTP/1.1\r\n\r\n")
        assert 0 < connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) < 120_000
        wire.end()
        wire.close()


def test_a_busy_server_may_read_a_large_body_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the deadline: the server's host takes no more of the body, but it has not vanished."""
    monkeypatch.setattr(http_socket, "LOST_S", 1)
    body = b"x" * (32 << 20)

    def read_late(listener: socket.socket) -> int:
        connection, _ = listener.accept()
        with connection:
            time.sleep(4)
            return sum(iter(lambda: len(connection.recv(1 << 20)), 0))

    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor() as threads:
        received = threads.submit(read_late, listener)
        wire = HttpSocket(f"127.0.0.1:{listener.getsockname()[1]}", Access())
        wire.begin(60.0)
        wire.open()
        wire.send(body)
        wire.end()
        wire.close()
        assert received.result() == len(body)
