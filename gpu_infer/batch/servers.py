"""The Triton servers of a batch: several addresses, which are dealt to its workers in turn."""

from __future__ import annotations

from collections.abc import Sequence

from gpu_infer.errors import ConfigError
from gpu_infer.triton.client.endpoints import parse_uri


def parse_servers(text: str) -> tuple[str, ...]:
    """The addresses in "host:port,host:port"; each as `endpoints.parse_uri` takes it.

    Raises ConfigError for a malformed address, an empty one, and one that occurs twice.
    """
    servers = tuple(address.strip() for address in text.split(","))
    for number, address in enumerate(servers, 1):
        if not address:
            raise ConfigError(
                f"--triton: address {number} of {len(servers)} is empty in {text!r}",
                remedy="write host:port,host:port without a comma at an end",
            )
        parse_uri(address)
    for address in servers:
        if servers.count(address) > 1:
            raise ConfigError(
                f"--triton: {address} occurs {servers.count(address)} times, expected different servers",
                remedy="name each server once: workers share the servers in turn",
            )
    return servers


def server_of(servers: Sequence[str], worker: int) -> str:
    """The address for the worker with this number, from 0 on."""
    return servers[worker % len(servers)]


def workers_on(servers: Sequence[str], worker: int, workers: int) -> int:
    """How many of `workers` share the server of the one with this number."""
    return len(range(worker % len(servers), workers, len(servers)))
