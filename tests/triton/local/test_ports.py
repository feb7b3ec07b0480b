"""Free ports on the loopback address."""

from __future__ import annotations

import socket

import pytest

from gpu_infer.errors import ConfigError
from gpu_infer.triton.local.ports import choose_ports


def test_ports() -> None:
    first, second = choose_ports(0, 0)
    assert first != second
    assert choose_ports(first) == (first,)
    with pytest.raises(ConfigError, match="port 70000 is out of range"):
        choose_ports(70000)
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        with pytest.raises(ConfigError, match="cannot be used"):
            choose_ports(0, held.getsockname()[1])
