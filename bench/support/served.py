"""The benches' models on a local Triton: on the GPU if both operator and server can use it, else on the CPU.

A model on the CPU of a GPU host needs a copy of every tile from the device, through its process and back, which would
exceed the operator's own time. bench/models and bench/models_gpu have the same models for each.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from gpu_infer.backends.base.backend import Backend
from gpu_infer.errors import GpuInferError, ServerError
from gpu_infer.triton.client.endpoints import Endpoints
from gpu_infer.triton.local.serve import LocalServer
from gpu_infer.triton.ring import SlotRing
from gpu_infer.triton.transport import open_transport

MODELS = Path(__file__).parents[1] / "models"
MODELS_GPU = Path(__file__).parents[1] / "models_gpu"


def models_device(server: LocalServer) -> str:
    """The device on which the server's models compute, "gpu" or "cpu"."""
    return "gpu" if server.models == (MODELS_GPU,) else "cpu"


@contextmanager
def served(backend: Backend) -> Iterator[tuple[LocalServer, str]]:
    """A server with the models, and one sentence about their device for the notes of a result."""
    server = LocalServer([MODELS])
    note = "The models compute on the CPU."
    if backend.name == "gpu":
        on_gpu = LocalServer([MODELS_GPU])
        try:
            on_gpu.start()
            probe(on_gpu, backend)
        except GpuInferError as error:
            on_gpu.stop()
            if on_gpu.log_file is not None:
                on_gpu.log_file.unlink(missing_ok=True)
            note = f"The models compute on the CPU, to which the server copies every tile: {error.message}"
        else:
            server, note = on_gpu, "The models compute on the GPU."
    with server:
        yield server, note


def probe(server: LocalServer, backend: Backend) -> None:
    """Send one small tile through the model "tile" by the best transport.

    Raises:
        GpuInferError: the answer is wrong.
    """
    window = (4, 4, 4)
    endpoints = Endpoints(http=server.http, grpc=server.grpc)
    transport = open_transport(endpoints, backend, wait_s=30.0)
    with SlotRing(
        transport,
        transport.server.model("tile"),
        window=window,
        channels_in=1,
        channels_out=2,
        batch=1,
        slots=1,
        deadline_s=60.0,
    ) as ring:
        slot = ring.acquire()
        tile = backend.upload(np.full((1, *window), 7.0, np.float32))
        backend.gather(tile, [(0, 0, 0)], slot.input, 0.0)
        backend.fence()
        ring.submit(slot, 1)
        scores = backend.download(ring.wait(slot)).reshape(2, -1)
        first = (float(scores[0, 0]), float(scores[1, 0]))
        ring.release(slot)
    if first != (0.5, 7.0):
        raise ServerError(f"model tile answered {first}, expected (0.5, 7.0)")
