"""The size of a model's queue, from its file and over both protocols, and what a full one answers."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.triton.client.endpoints import Endpoints
from gpu_infer.triton.client.failures import QueueFull
from gpu_infer.triton.client.protocol import InferRequest
from gpu_infer.triton.client.server import Server
from gpu_infer.triton.local.serve import LocalServer
from gpu_infer.triton.model.queue import slots_within_queue
from gpu_infer.triton.model.repository import model_in_repository
from gpu_infer.triton.ring import SlotRing
from gpu_infer.triton.transport import open_transport

TOYS = Path(__file__).parents[2] / "models"
DEFAULT = "default_queue_policy { max_queue_size: 2 }"
LEVELS = "priority_levels: 2 default_priority_level: 2 priority_queue_policy { key: 2 value { max_queue_size: 5 } }"
QUEUES = [
    ("", None),
    ("dynamic_batching { }", None),
    ("dynamic_batching { default_queue_policy { max_queue_size: 0 } }", None),
    (f"dynamic_batching {{ {DEFAULT} }}", 2),
    (f"dynamic_batching {{ {DEFAULT} {LEVELS} }}", 5),
    (f"dynamic_batching {{ {DEFAULT} {LEVELS.replace('key: 2', 'key: 1')} }}", 2),
]


def repository(folder: Path, batching: str) -> Path:
    """A repository with the model "slow", with `batching` and a batch of 1."""
    shutil.copytree(TOYS / "slow", folder / "slow", ignore=shutil.ignore_patterns("__pycache__"))
    config = folder / "slow" / "config.pbtxt"
    config.write_text(config.read_text().replace("max_batch_size: 4", "max_batch_size: 1") + batching)
    return folder


@pytest.mark.parametrize(("batching", "queue"), QUEUES)
def test_queue_in_a_repository(batching: str, queue: int | None, tmp_path: Path) -> None:
    model = model_in_repository(repository(tmp_path, batching), "slow")
    assert model is not None
    assert model.queue == queue


@pytest.mark.parametrize(
    ("queue", "workers", "slots"), [(None, 3, None), (8, 1, 8), (8, 3, 2), (8, 8, 1), (8, 9, 1), (1, 1, 1)]
)
def test_workers_share_the_queue(queue: int | None, workers: int, slots: int | None) -> None:
    model = model_in_repository(TOYS, "slow")
    assert model is not None
    assert slots_within_queue(replace(model, queue=queue), workers) == slots


@pytest.fixture(scope="module")
def busy_triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    """A Triton whose model "slow" takes 0.5 s for a request, with a queue of 1."""
    folder = repository(
        tmp_path_factory.mktemp("models"), f"dynamic_batching {{ {DEFAULT.replace('2', '1')} {LEVELS} }}"
    )
    config = folder / "slow" / "config.pbtxt"
    config.write_text(config.read_text().replace("value { max_queue_size: 5 }", "value { max_queue_size: 1 }"))
    with LocalServer(folder) as server:
        yield server


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_a_full_queue_refuses(busy_triton: LocalServer, protocol: str) -> None:
    server = Server.connect(Endpoints(http=busy_triton.http, grpc=busy_triton.grpc), protocol, wait_s=10.0)
    assert server.model("slow", wait_s=10.0).queue == 1
    volume = np.zeros((1, 1, 4, 4, 4), np.float32)
    request = InferRequest("slow", "1", "NV_MODEL_INPUT", "FP32", volume.shape, volume, "NV_MODEL_OUTPUT")
    errors: list[Exception | None] = []

    def infer() -> None:
        client = server.client()
        try:
            client.infer(request, 10.0)
            errors.append(None)
        except Exception as error:
            errors.append(error)
        finally:
            client.close()

    threads = [threading.Thread(target=infer) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    refused = [error for error in errors if error is not None]
    assert errors.count(None) in (1, 2)  # one is computed, and one waits if it came later
    assert len(refused) == len(errors) - errors.count(None)
    assert {type(error) for error in refused} == {QueueFull}
    assert "Exceeds maximum queue size (others use this model, too: take fewer slots" in str(refused[0])


@pytest.mark.slow
@pytest.mark.parametrize("data", ["system_shm", "inline"])
def test_a_ring_waits_until_the_queue_takes_its_requests(busy_triton: LocalServer, data: str) -> None:
    """Five requests at a time, where one is computed and one waits."""
    endpoints = Endpoints(http=busy_triton.http, grpc=busy_triton.grpc)
    transport = open_transport(endpoints, CpuBackend(), control="grpc", data=data, wait_s=10.0)
    model = transport.server.model("slow", wait_s=10.0)
    with SlotRing(transport, model, window=(4, 4, 4), channels_in=1, channels_out=2, batch=1, slots=5) as ring:
        slots = [ring.acquire() for _ in range(5)]
        for number, slot in enumerate(slots):
            slot.input[...] = number / 4
            ring.submit(slot, 1)
        classes = [np.array(ring.wait(slot))[0].argmax(axis=0) for slot in slots]
        counters = ring.counters()
    assert counters["retries"] > 0
    assert counters["reregistrations"] == 0  # a refused request uses no memory
    assert [int(each.max()) for each in classes] == [0, 0, 0, 1, 1]  # above 0.5
