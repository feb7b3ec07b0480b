"""Transports and rings of slots on a server in this process."""

from __future__ import annotations

from typing import Any, cast

from triton_fakes import DeviceBackend, FakeServer, HostBackend, model

from gpu_infer.triton.model.info import ModelInfo
from gpu_infer.triton.ring import SlotRing
from gpu_infer.triton.transport import DataName, Transport

WINDOW = (3, 4, 5)


def transport_of(server: FakeServer, data: DataName = "system_shm") -> Transport:
    backend: Any = DeviceBackend(server) if data == "cuda_shm" else HostBackend()
    return Transport(cast(Any, server), backend, (data,))


def ring_of(
    server: FakeServer, data: DataName = "system_shm", described: ModelInfo | None = None, **options: Any
) -> SlotRing:
    facts: dict[str, Any] = {"window": WINDOW, "channels_in": 1, "channels_out": 2, "batch": 2, "reconnect_s": 2.0}
    return SlotRing(transport_of(server, data), described or model(), **facts | options)
