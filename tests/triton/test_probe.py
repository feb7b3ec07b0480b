"""The choice of a data transport opens an arena and sends no request to a model."""

from __future__ import annotations

import pytest
from triton_fakes import DeviceBackend, FakeServer, model

from gpu_infer.errors import ModelError
from gpu_infer.triton.ring import SlotRing
from gpu_infer.triton.transport import DATA_TRANSPORTS, Transport

pytestmark = pytest.mark.usefixtures("no_leftovers")


@pytest.mark.parametrize("choice", DATA_TRANSPORTS)
def test_a_way_is_chosen_without_a_request(choice: str) -> None:
    server = FakeServer()
    Transport(server, DeviceBackend(server), (choice,)).probe()  # type: ignore[arg-type]
    assert server.requests == []
    kind = {"cuda_shm": ["cuda"], "system_shm": ["system"], "inline": []}[choice]
    assert server.log == [f"{call} {k}" for k in kind for call in ("register", "unregister")]


def test_a_block_that_is_opened_but_of_no_use_ends_the_run_at_the_first_request() -> None:
    server = FakeServer(script=[ModelError("cudaErrorInvalidResourceHandle: invalid resource handle")])
    transport = Transport(server, DeviceBackend(server), DATA_TRANSPORTS)  # type: ignore[arg-type]
    transport.probe()
    assert transport.data == "cuda_shm"
    with SlotRing(transport, model(), window=(4, 4, 4), channels_in=1, channels_out=2, batch=1) as ring:
        slot = ring.acquire()
        ring.submit(slot, 1)
        with pytest.raises(ModelError, match="invalid resource handle"):
            ring.wait(slot)
    assert not server.regions
