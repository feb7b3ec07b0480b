"""The answers of a healthy Triton, for both protocols and both data transports of the host."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any, cast

import numpy as np
import pytest
from real_server import TRANSPORTS, WINDOW, endpoints_of, infer_all, opened, ring_on
from triton_fakes import HostBackend

from gpu_infer.errors import ConfigError, DeadlineError, Interrupted, ModelError, ServerError
from gpu_infer.triton.client.endpoints import Endpoints
from gpu_infer.triton.client.failures import NotTriton
from gpu_infer.triton.client.protocol import InferRequest, TritonClient
from gpu_infer.triton.client.server import Server, make_client
from gpu_infer.triton.model.layout import TensorLayout
from gpu_infer.triton.ring import probe_output_channels
from gpu_infer.triton.transport import open_transport

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_leftovers")]


@pytest.mark.parametrize(("control", "data"), TRANSPORTS)
@pytest.mark.parametrize("slots", [1, 2, 5])
def test_every_way_gives_the_same_outputs(triton: Any, control: str, data: str, slots: int) -> None:
    windows = np.random.default_rng(1).normal(0.5, 1, (7, 1, *WINDOW)).astype(np.float32)
    expected = np.concatenate([np.full_like(windows, 0.5), windows], axis=1)
    transport = opened(triton, control, data)
    assert (transport.control, transport.data) == (control, data)
    for batch in (1, 2, 3, 4):
        with ring_on(transport, batch=batch, slots=slots) as ring:
            np.testing.assert_array_equal(infer_all(ring, windows, batch), expected)
            assert ring.counters()["requests"] == -(-7 // batch)


@pytest.mark.parametrize(("control", "data"), TRANSPORTS)
def test_half_precision(triton: Any, control: str, data: str) -> None:
    windows = np.random.default_rng(2).normal(0.5, 1, (3, 1, *WINDOW)).astype(np.float16)
    transport = opened(triton, control, data)
    with ring_on(transport, "threshold_half_fp16", batch=2) as ring:
        out = infer_all(ring, windows, 2)
    assert out.dtype == np.float16
    np.testing.assert_array_equal(out[:, 1], windows[:, 0])


@pytest.mark.parametrize(("control", "data"), TRANSPORTS)
@pytest.mark.parametrize("name", ["threshold_nobatch", "channels_last"])
def test_other_layouts(triton: Any, control: str, data: str, name: str) -> None:
    windows = np.random.default_rng(3).normal(0.5, 1, (3, 1, *WINDOW)).astype(np.float32)
    transport = opened(triton, control, data)
    layout = TensorLayout(channels="last" if name == "channels_last" else "first")
    with ring_on(transport, name, layout=layout) as ring:
        out = infer_all(ring, windows, 1)
    np.testing.assert_array_equal(out[:, 1], windows[:, 0])
    assert (out[:, 0] == 0.5).all()


def test_auto_prefers_http_and_system_memory(triton: Any) -> None:
    transport = opened(triton)
    assert (transport.control, transport.data) == ("http", "system_shm")
    assert transport.server.version == "2.51.0"
    assert transport.server.url == triton.http


def test_inline_data_take_grpc(triton: Any) -> None:
    assert opened(triton, data="inline").control == "grpc"
    assert opened(triton, "http", data="inline").control == "http"
    only = open_transport(Endpoints(http=triton.http), cast(Any, HostBackend()), data="inline", wait_s=30.0)
    assert only.control == "http"


@pytest.mark.parametrize("control", ["grpc", "http"])
def test_an_address_of_unknown_protocol(triton: Any, control: str) -> None:
    address = triton.grpc if control == "grpc" else triton.http
    server = Server.connect(Endpoints(either=address), wait_s=20)
    assert (server.control, server.url) == (control, address)
    other = "http" if control == "grpc" else "grpc"
    expected = (
        rf"no Triton server ready within 0\.2 s: {other} {address}: "
        if other == "grpc"
        else rf"{address} answers, .* \(no HTTP\): Triton's port for gRPC, .* or --control"
    )
    with pytest.raises(DeadlineError if other == "grpc" else NotTriton, match=expected):
        Server.connect(Endpoints(either=address), other, wait_s=0.2, interval_s=0.1)


def test_cuda_is_refused_by_name(triton: Any) -> None:
    with pytest.raises(ServerError, match="the cpu backend has no device memory"):
        opened(triton, require="cuda_shm")


def test_a_server_without_cuda_refuses_a_handle(client: TritonClient) -> None:
    with pytest.raises(ServerError, match=r"registering CUDA block x at .*invalid args"):
        client.register_cuda_region("x", bytes(64), 0, 1 << 21)


# -- models ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("control", ["grpc", "http"])
def test_model_descriptions(triton: Any, control: str) -> None:
    server = Server.connect(endpoints_of(triton), control, wait_s=20)
    info = server.model("threshold_half")
    assert (info.name, info.version, info.platform) == ("threshold_half", "1", "python")
    assert (info.max_batch, info.batch_axis, info.fixed_batch) == (4, "leading", False)
    assert (info.input.name, info.input.dims, info.input.datatype) == ("NV_MODEL_INPUT", (1, -1, -1, -1), "FP32")
    assert (info.output.name, info.output.dims) == ("NV_MODEL_OUTPUT", (2, -1, -1, -1))
    assert server.model("threshold_half", "1") == info
    assert server.model("threshold_half_fp16").input.dtype == np.float16
    assert server.model("label300").output.dims[0] == 301
    assert server.model("fixed_roi").input.dims == (1, 16, 16, 16)
    assert server.model("threshold_nobatch").batch_axis == "none"


@pytest.mark.parametrize("control", ["grpc", "http"])
def test_missing_model(triton: Any, control: str) -> None:
    server = Server.connect(endpoints_of(triton), control, wait_s=20)
    with pytest.raises(
        ModelError, match=r"model nope is not on the server at .*, which has: .*threshold_half 1"
    ) as caught:
        server.model("nope")
    assert "\n" not in str(caught.value)
    with pytest.raises(ModelError, match="model threshold_half version 7 is not on the server"):
        server.model("threshold_half", "7")
    with pytest.raises(ConfigError, match="no model name"):
        server.model("")


def test_two_outputs(triton: Any) -> None:
    server = Server.connect(endpoints_of(triton), wait_s=20)
    with pytest.raises(ModelError, match="has 2 outputs, expected one: ") as caught:
        server.model("two_outputs")
    assert "NV_MODEL_OUTPUT" in caught.value.message
    assert server.model("two_outputs", output_name="NV_MODEL_OUTPUT").output.name == "NV_MODEL_OUTPUT"


def test_wrong_channels_and_window(triton: Any) -> None:
    transport = opened(triton)
    with pytest.raises(ModelError, match="wrong channel count: model three_channels takes 3"):
        ring_on(transport, "three_channels")
    with pytest.raises(ModelError, match="fixed at 16 on axis X, the window is 9"):
        ring_on(transport, "fixed_roi")


@pytest.mark.parametrize("control", ["grpc", "http"])
def test_output_channels_by_example(triton: Any, control: str) -> None:
    transport = opened(triton, control)
    model = transport.server.model("dynamic_channels")
    assert model.output.dims[0] == -1
    assert probe_output_channels(transport, model, WINDOW, 1) == 2


# -- requests that fail ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(("control", "data"), TRANSPORTS)
def test_a_model_that_raises(triton: Any, control: str, data: str) -> None:
    transport = opened(triton, control, data)
    with ring_on(transport, "fails") as ring:
        slot = ring.acquire()
        ring.submit(slot, 1)
        with pytest.raises(ModelError, match=r"inference of model fails at .*this model always fails") as caught:
            ring.wait(slot)
        assert "\n" not in str(caught.value)
        assert type(caught.value) is ModelError


@pytest.mark.parametrize(("control", "data"), TRANSPORTS)
def test_a_model_that_answers_another_shape(triton: Any, control: str, data: str) -> None:
    transport = opened(triton, control, data)
    with ring_on(transport, "lies") as ring:
        slot = ring.acquire()
        ring.submit(slot, 1)
        with pytest.raises(ModelError, match=r"\[1, 2, 9, 8, 6\], expected FP32 \[1, 2, 9, 8, 7\]"):
            ring.wait(slot)


@pytest.mark.parametrize(("control", "data"), TRANSPORTS)
def test_a_model_that_is_slower_than_the_deadline(triton: Any, control: str, data: str) -> None:
    """The region is unregistered, too: after the server has finished the request whose deadline has passed."""
    transport = opened(triton, control, data)
    with ring_on(transport, "slow", deadline_s=0.2) as ring:
        slot = ring.acquire()
        ring.submit(slot, 1)
        with pytest.raises(DeadlineError, match=r"inference of model slow at .* did not end within 0\.2 s"):
            ring.wait(slot)
        ring.submit(ring.acquire(), 1)  # and one is in flight when the ring closes


@pytest.mark.parametrize("control", ["grpc", "http"])
def test_requests_overlap(triton: Any, control: str) -> None:
    """Two slots: while one request runs (0.5 s each, one instance) the other is queued and answered in turn."""
    transport = opened(triton, control)
    with ring_on(transport, "slow", slots=2) as ring:
        slots = [ring.acquire(), ring.acquire()]
        for k, slot in enumerate(slots):
            slot.input[:] = k
            ring.submit(slot, 1)
        assert [float(ring.wait(slot)[0, 1].max()) for slot in slots] == [0.0, 1.0]


def test_connection_refused(triton: Any) -> None:
    for control in ("grpc", "http"):
        with pytest.raises(DeadlineError, match=rf"{control} 127\.0\.0\.1:9: .*refused") as caught:
            Server.connect(Endpoints(either="127.0.0.1:9"), control, wait_s=0.5, interval_s=0.1)
        assert "\n" not in str(caught.value)


def test_unknown_host() -> None:
    with pytest.raises(DeadlineError, match=r"http no-such-host\.invalid:8000: "):
        Server.connect(Endpoints(http="no-such-host.invalid:8000"), wait_s=0.1, interval_s=0.1)


def test_an_inline_message_over_two_gibibytes_is_refused_before_it_is_sent(client: TritonClient) -> None:
    huge: Any = np.broadcast_to(np.float32(0), (1, 1, 1024, 1024, 513))
    request = InferRequest("threshold_half", "", "NV_MODEL_INPUT", "FP32", huge.shape, huge, "NV_MODEL_OUTPUT")
    with pytest.raises(ServerError, match=r"2\.00 GiB for model threshold_half exceeds the 2 GiB") as caught:
        client.infer(request, 10)
    assert "--data system_shm" in (caught.value.remedy or "")


@pytest.mark.parametrize("control", ["grpc", "http"])
def test_a_signal_ends_a_call_at_once_and_silently(
    triton: Any, control: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """What a handler raises in the middle of a call of the main thread reaches the caller."""
    client = make_client(control, triton.grpc if control == "grpc" else triton.http)  # type: ignore[arg-type]
    x: Any = np.zeros((1, 1, 4, 4, 4), np.float32)

    def interrupt(*_: object) -> None:
        raise Interrupted("SIGUSR1")

    before = signal.signal(signal.SIGUSR1, interrupt)
    timer = threading.Timer(0.15, lambda: os.kill(os.getpid(), signal.SIGUSR1))
    timer.start()
    try:
        with pytest.raises(Interrupted, match="SIGUSR1"):
            client.infer(InferRequest("slow", "", "NV_MODEL_INPUT", "FP32", x.shape, x, "NV_MODEL_OUTPUT"), 10)
        assert client.server_live()  # the client is of use afterwards
    finally:
        timer.join()
        signal.signal(signal.SIGUSR1, before)
        client.close()
    assert capfd.readouterr().err == ""
