"""CUDA regions at a real Triton: what the server takes, refuses and forgets, over both protocols.

On simulated CUDA, where a region is a POSIX segment that the server opens as such, and with `-m gpu` on the machine's
device with nothing patched.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cudasim import memory
from cudasim.simulated import open_segments_as_cuda, simulated_cupy
from real_device import real_gpu
from real_server import WINDOW, endpoints_of, in_flight, kill, regions_left, restart

from gpu_infer.errors import ModelError, ServerError
from gpu_infer.triton.client.failures import RegionBusy, RegionExists, RegionUnknown
from gpu_infer.triton.client.protocol import InferRequest, RegionSlice, TritonClient
from gpu_infer.triton.client.server import make_client
from gpu_infer.triton.ring import SlotRing
from gpu_infer.triton.shm.naming import new_name
from gpu_infer.triton.transport import Transport, open_transport

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_leftovers")]

CONTROLS = ["grpc", "http"]
SHAPE, NBYTES = (1, 1, 4, 4, 4), 256
SINK = 4096  # bytes from the start of the arena to the output


@pytest.fixture(params=["simulated", pytest.param("device", marks=pytest.mark.gpu)])
def cuda(request: pytest.FixtureRequest) -> Iterator[Any]:
    """The GPU backend's module on simulated CUDA, or on the device with nothing patched."""
    with contextlib.ExitStack() as stack:
        if request.param == "simulated":
            module = stack.enter_context(simulated_cupy())
            open_segments_as_cuda(stack.enter_context(pytest.MonkeyPatch.context()))
        else:
            module = stack.enter_context(real_gpu())
        yield module


@pytest.fixture
def backend(cuda: Any) -> Any:
    return cuda.shared_backend()


@pytest.fixture
def simulated(request: pytest.FixtureRequest) -> bool:
    return bool(request.node.callspec.params["cuda"] == "simulated")


@pytest.fixture(params=CONTROLS)
def client(request: pytest.FixtureRequest, triton_server: Any) -> Iterator[TritonClient]:
    made = make_client(request.param, triton_server.grpc if request.param == "grpc" else triton_server.http)
    yield made
    made.close()
    assert regions_left(triton_server) == []


@pytest.fixture
def block(backend: Any) -> Iterator[Any]:
    made = backend.device_arena(1 << 21)
    yield made
    made.close()


@pytest.fixture
def region(client: TritonClient, block: Any) -> Iterator[str]:
    """The name of the block at the server, for as long as the test leaves it there."""
    name = new_name()
    client.register_cuda_region(name, block.ipc_handle, block.device, block.nbytes)
    yield name
    client.unregister_region(name, "cuda")


def opened(server: Any, backend: Any, control: str) -> Transport:
    return open_transport(endpoints_of(server), backend, control=control, require="cuda_shm", wait_s=30.0)


def ring_on(transport: Transport, name: str, **options: Any) -> SlotRing:
    facts: dict[str, Any] = {"window": WINDOW, "channels_in": 1, "channels_out": 2, "batch": 1, "deadline_s": 30.0}
    return SlotRing(transport, transport.server.model(name), slots=2, **facts | options)


def infer_all(ring: SlotRing, backend: Any, windows: Any) -> Any:
    """Outputs of windows [N, 1, …], one a request, with as many in flight as the ring has slots."""
    waiting: list[Any] = []
    results = []

    def take() -> None:
        slot = waiting.pop(0)
        results.append(backend.download(ring.wait(slot)).copy())
        ring.release(slot)

    for window in windows:
        if len(waiting) == ring.slots:
            take()
        slot = ring.acquire()
        backend.gather(backend.upload(window), [(0, 0, 0)], slot.input, 0.0)
        backend.fence()
        ring.submit(slot, 1)
        waiting.append(slot)
    while waiting:
        take()
    return np.concatenate(results)


def request_on(
    name: str,
    *,
    at: int = 0,
    nbytes: int = NBYTES,
    to: int = SINK,
    room: int = 2 * NBYTES,
    model: str = "threshold_half",
) -> InferRequest:
    source, sink = RegionSlice(name, at, nbytes), RegionSlice(name, to, room)
    return InferRequest(model, "", "NV_MODEL_INPUT", "FP32", SHAPE, source, "NV_MODEL_OUTPUT", sink)


def fill(backend: Any, block: Any, value: float) -> None:
    window = backend.upload(np.full(SHAPE[1:], value, np.float32))
    backend.gather(window, [(0, 0, 0)], block.view(0, SHAPE, np.float32), 0.0)
    backend.fence()


def scores(backend: Any, block: Any) -> list[float]:
    """The first score of each channel of the answer."""
    answer = backend.download(block.view(SINK, (2, 64), np.float32))
    return [float(row[0]) for row in answer]


# -- registering -----------------------------------------------------------------------------------------------
def test_a_handle_of_nothing_is_refused(client: TritonClient, backend: Any, simulated: bool) -> None:
    """Invalid handle: no memory belongs to it."""
    handle = b"cudasim-none".ljust(64, b"\0") if simulated else bytes(64)
    refused = "Unable to open shared memory region" if simulated else "invalid args"
    with pytest.raises(ServerError, match=refused):
        client.register_cuda_region("gpu_infer-none", handle, 0, 1 << 21)
    assert "gpu_infer-none" not in client.registered_regions()


def test_a_name_is_registered_once(client: TritonClient, region: str, block: Any, simulated: bool) -> None:
    with pytest.raises(RegionExists):
        client.register_cuda_region(region, block.ipc_handle, block.device, block.nbytes)
    listed = client.registered_regions()[region]
    assert listed.nbytes == block.nbytes == 1 << 21
    assert listed.kind == ("system" if simulated else "cuda")


@pytest.mark.parametrize("control", CONTROLS)
def test_a_region_larger_than_its_memory_is_refused(fresh_triton: Any, control: Any, block: Any) -> None:
    """On a separate server: Triton 2.51 does not close memory that it refused as too small."""
    client = make_client(control, fresh_triton.grpc if control == "grpc" else fresh_triton.http)
    try:
        with pytest.raises(ServerError, match=r"[Ii]nvalid (shared|args)"):
            client.register_cuda_region("gpu_infer-large", block.ipc_handle, block.device, 2 * block.nbytes)
        assert "gpu_infer-large" not in client.registered_regions()
    finally:
        client.close()


# -- requests --------------------------------------------------------------------------------------------------
def test_what_lies_in_the_region_is_answered_there(client: TritonClient, backend: Any, region: str, block: Any) -> None:
    for value in (3.0, -2.0):
        fill(backend, block, value)
        reply = client.infer(request_on(region), 10)
        assert (reply.shape, reply.data) == ((1, 2, 4, 4, 4), None)
        assert scores(backend, block) == [0.5, value]


def test_offsets_and_sizes_out_of_bounds(client: TritonClient, region: str, block: Any) -> None:
    end = block.nbytes
    for at in (end - 100, end, 1 << 40):
        with pytest.raises(ServerError, match="Invalid offset"):
            client.infer(request_on(region, at=at), 10)
    for to in (end - 4, 1 << 40):
        with pytest.raises(ServerError, match="Invalid offset"):
            client.infer(request_on(region, to=to), 10)
    with pytest.raises(ModelError, match="Expected 256, got 100"):
        client.infer(request_on(region, nbytes=100), 10)
    with pytest.raises(ModelError, match="should be at least 512 bytes"):
        client.infer(request_on(region, room=100), 10)


# -- unregistering ---------------------------------------------------------------------------------------------
def test_unregistered_before_the_request(client: TritonClient, block: Any) -> None:
    name = new_name()
    client.register_cuda_region(name, block.ipc_handle, block.device, block.nbytes)
    client.unregister_region(name, "cuda")
    with pytest.raises(RegionUnknown):
        client.infer(request_on(name), 10)
    client.unregister_region(name, "cuda")  # no error
    with pytest.raises(ValueError, match="by name only"):
        client.unregister_region("", "cuda")


@pytest.mark.parametrize("control", CONTROLS)
def test_unregistered_during_the_request_and_after(triton_server: Any, backend: Any, control: str) -> None:
    transport = opened(triton_server, backend, control)
    assert transport.data == "cuda_shm"
    block, registration = transport.arena(1 << 21)
    assert registration is not None
    fill(backend, block, 7.0)
    with in_flight(transport, request_on(registration.name, model="slow")) as replies:
        client = transport.client()
        with pytest.raises(RegionBusy):
            client.unregister_region(registration.name, "cuda")
        assert registration.close()  # waits for the request
        assert scores(backend, block) == [0.5, 7.0]
    assert replies[0].shape == (1, 2, 4, 4, 4)
    client.unregister_region(registration.name, "cuda")  # after it is gone: no error
    client.close()
    block.close()
    assert regions_left(triton_server) == []


# -- ends ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("control", CONTROLS)
def test_a_restart_in_mid_run_is_survived(fresh_triton: Any, backend: Any, control: str) -> None:
    windows = np.random.default_rng(4).normal(0.5, 1, (6, 1, *WINDOW)).astype(np.float32)
    transport = opened(fresh_triton, backend, control)
    with ring_on(transport, "slow", reconnect_s=60.0) as ring:
        killer = threading.Timer(0.8, lambda: (kill(fresh_triton), restart(fresh_triton)))
        killer.start()
        out = infer_all(ring, backend, windows)
        killer.join()
        counters = ring.counters()
    np.testing.assert_array_equal(out[:, 1], windows[:, 0])
    assert counters["retries"] >= 1
    assert counters["reregistrations"] == 1
    assert counters["bytes_inline"] == 0
    assert regions_left(fresh_triton) == []


CLIENT = """
import contextlib, sys
sys.path[:0] = {folders!r}
from types import SimpleNamespace
import test_cuda_regions as tests
with contextlib.ExitStack() as stack:
    if {simulated!r}:
        gpu = stack.enter_context(tests.simulated_cupy())
        tests.open_segments_as_cuda(tests.pytest.MonkeyPatch())
    else:
        gpu = stack.enter_context(tests.real_gpu())
    server = SimpleNamespace(http={http!r}, grpc={grpc!r})
    transport = tests.opened(server, gpu.shared_backend(), {control!r})
    ring = tests.ring_on(transport, "slow")
    ring.submit(ring.acquire(), 1)
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("control", CONTROLS)
def test_doctor_cleans_up_after_a_killed_client(
    triton_server: Any, cuda: Any, simulated: bool, control: str, tmp_path: Path
) -> None:
    """SIGKILL with a request in flight: `gpu-infer doctor --clean` unregisters the region and removes its marker."""
    here = Path(__file__).resolve().parent
    support = here.parents[1] / "support"
    code = CLIENT.format(
        folders=[str(here), str(support)],
        simulated=simulated,
        http=triton_server.http,
        grpc=triton_server.grpc,
        control=control,
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as client:
        assert client.stdout is not None
        assert client.stderr is not None
        try:
            assert client.stdout.readline() == "ready\n", client.stderr.read()
            client.send_signal(signal.SIGKILL)
            client.communicate()
        finally:
            client.kill()
            for path in memory.SHM.glob(f"cudasim-{client.pid}-*"):  # what ends with its process on a device
                path.unlink()
    (left,) = regions_left(triton_server)
    assert left.startswith(f"gpu_infer-{client.pid}-")
    address = triton_server.grpc if control == "grpc" else triton_server.http
    arguments = ["doctor", "--clean", "--json", "--triton", address, "--control", control, "--output", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "gpu_infer", *arguments], capture_output=True, encoding="utf-8", check=False, timeout=60
    )
    checks = {check["name"]: check for check in json.loads(done.stdout)}
    assert left in checks["leftovers"]["found"], checks["leftovers"]
    assert regions_left(triton_server) == []
    assert not (memory.SHM / left).exists()
