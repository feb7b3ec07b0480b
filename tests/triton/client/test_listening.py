"""Whether a process listens at an address."""

from __future__ import annotations

import socket

from gpu_infer.triton.client.listening import nobody_listens


def test_a_refused_connection_alone_is_a_proof() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        assert not nobody_listens(address, 1.0)
    assert nobody_listens(address, 1.0)
    assert nobody_listens(f"https://{address}", 1.0)


def test_a_name_without_an_address_proves_nothing() -> None:
    assert not nobody_listens("host.invalid:1", 1.0)
