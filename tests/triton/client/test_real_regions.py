"""Regions of a real Triton: what it refuses, and registering and unregistering them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from real_server import endpoints_of, in_flight, opened

from gpu_infer.errors import ModelError, ServerError
from gpu_infer.triton.client.failures import RegionBusy, RegionExists, RegionUnknown
from gpu_infer.triton.client.protocol import InferRequest, RegionSlice, TritonClient
from gpu_infer.triton.client.server import Server
from gpu_infer.triton.shm.host_arenas import SystemArena
from gpu_infer.triton.shm.registration import Registration

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_leftovers")]


def _request(
    shape: tuple[int, ...], source: RegionSlice, sink: RegionSlice | None, model: str = "threshold_half"
) -> InferRequest:
    return InferRequest(model, "", "NV_MODEL_INPUT", "FP32", shape, source, "NV_MODEL_OUTPUT", sink)


def test_region_rules(client: TritonClient) -> None:
    shape, nbytes = (1, 1, 4, 4, 4), 256
    arena = SystemArena(8192)
    try:
        with pytest.raises(ServerError, match=r"Unable to open shared memory region"):
            client.register_system_region(arena.name, "/gpu_infer-none", 8192)
        with pytest.raises(ServerError, match=r"[Ii]nvalid (shared|args)"):  # larger than the segment
            client.register_system_region(arena.name, arena.key, 1 << 20)
        client.register_system_region(arena.name, arena.key, 8192)
        with pytest.raises(RegionExists):
            client.register_system_region(arena.name, arena.key, 8192)
        listed = client.registered_regions()[arena.name]
        assert (listed.kind, listed.key, listed.nbytes) == ("system", arena.key, 8192)

        arena.view(0, shape, np.float32)[:] = 3
        inside, sink = RegionSlice(arena.name, 0, nbytes), RegionSlice(arena.name, 4096, 2 * nbytes)
        reply = client.infer(_request(shape, inside, sink), 10)
        assert (reply.shape, reply.data) == ((1, 2, 4, 4, 4), None)
        assert arena.view(4096, (2, 64), np.float32)[:, 0].tolist() == [0.5, 3.0]

        for bad in (RegionSlice(arena.name, 8192 - 100, nbytes), RegionSlice(arena.name, 1 << 40, nbytes)):
            with pytest.raises(ServerError, match=r"Invalid offset"):
                client.infer(_request(shape, bad, sink), 10)
        with pytest.raises(ServerError, match=r"Invalid offset"):
            client.infer(_request(shape, inside, RegionSlice(arena.name, 8192 - 4, 2 * nbytes)), 10)
        with pytest.raises(ModelError, match="Expected 256, got 100"):
            client.infer(_request(shape, RegionSlice(arena.name, 0, 100), sink), 10)
        with pytest.raises(ModelError, match="should be at least 512 bytes"):
            client.infer(_request(shape, inside, RegionSlice(arena.name, 4096, 100)), 10)
        with pytest.raises(RegionUnknown):
            client.infer(_request(shape, RegionSlice("gpu_infer-none", 0, nbytes), sink), 10)
        with pytest.raises(ValueError, match="by name only"):
            client.unregister_region("")
    finally:
        client.unregister_region(arena.name)
        arena.close()
    client.unregister_region("gpu_infer-unknown")  # no error


@pytest.mark.parametrize("control", ["grpc", "http"])
def test_registering_twice_is_once(triton: Any, control: str) -> None:
    server = Server.connect(endpoints_of(triton), control, wait_s=20)
    arena = SystemArena(4096)
    registration = Registration(server, arena)
    client = server.client()
    registration.renew(client, 0)  # the server has not forgotten: taken as done
    assert registration.renewals == 1
    registration.renew(client, 0)  # another slot has renewed it already
    assert registration.renewals == 1
    client.close()
    assert registration.close()
    assert registration.close()
    arena.close()


@pytest.mark.parametrize("control", ["grpc", "http"])
def test_unregistering_waits_for_a_request(triton: Any, control: str) -> None:
    transport = opened(triton, control)
    arena, registration = transport.arena(8192)
    assert registration is not None
    request = _request(
        (1, 1, 4, 4, 4), RegionSlice(registration.name, 0, 256), RegionSlice(registration.name, 4096, 512), "slow"
    )
    with in_flight(transport, request) as replies:
        client = transport.client()
        with pytest.raises(RegionBusy):
            client.unregister_region(registration.name)
        client.close()
        assert registration.close()
        assert arena.view(4096, (1,), np.float32)[0] == 0.5  # so the answer was there
    assert replies[0].shape == (1, 2, 4, 4, 4)
    arena.close()
