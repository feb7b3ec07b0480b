"""Addresses of several servers, and which worker uses which."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_infer.batch.servers import parse_servers, server_of, workers_on
from gpu_infer.errors import ConfigError


def test_addresses_in_their_order() -> None:
    assert parse_servers("a:8000") == ("a:8000",)
    assert parse_servers(" b:8001, a:8000 ,https://[::1]:443") == ("b:8001", "a:8000", "https://[::1]:443")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a:8000,", r"--triton: address 2 of 2 is empty in 'a:8000,'"),
        (",a:8000", "address 1 of 2 is empty"),
        ("", "address 1 of 1 is empty"),
        ("a:8000,b", "Triton address 'b' has no port"),
        ("a:8000,http://b:8000", "Triton address 'http://b:8000' has a scheme"),
        ("a:8000,b:8000,a:8000", "--triton: a:8000 occurs 2 times, expected different servers"),
    ],
)
def test_refusals(text: str, fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        parse_servers(text)


@given(st.integers(1, 5), st.integers(1, 20))
def test_workers_are_counted_as_they_are_dealt(servers: int, workers: int) -> None:
    names = [f"s{k}:1" for k in range(servers)]
    dealt = Counter(server_of(names, worker) for worker in range(workers))
    assert max(dealt.values()) - min(dealt[name] for name in names) <= 1
    for worker in range(workers):
        assert workers_on(names, worker, workers) == dealt[server_of(names, worker)]
