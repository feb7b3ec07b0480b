"""Send one window to a model: of a repository, by a local Triton that serves it alone, or of a running server."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gpu_infer.errors import ConfigError, ModelError
from gpu_infer.repository.listing import read_entry
from gpu_infer.triton.client.endpoints import Endpoints
from gpu_infer.triton.client.protocol import InferRequest
from gpu_infer.triton.client.server import Server
from gpu_infer.triton.local.follow import OnLine
from gpu_infer.triton.local.serve import LocalServer
from gpu_infer.triton.model.info import ModelInfo

_CONNECT_S = 5.0
_DEADLINE_S = 600.0
_SLICE_DIMS = 3  # channels and two spatial axes


class ModelCheck(NamedTuple):
    """The answer to one window. Shapes are those of the request, with the batch axis if the model has one."""

    model: ModelInfo
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    output_datatype: str
    seconds: float
    lowest: float
    highest: float
    finite: bool


def check_model(
    repository: Path, name: str, sizes: tuple[int, ...] | None = None, on_line: OnLine | None = None
) -> ModelCheck:
    """Load repository/name with a local Triton, and send one window of noise of mean 0 and deviation 1.

    sizes  the window's spatial sizes in the order of the model, for dynamic ones

    Raises ConfigError for a window that does not fit, ModelError for a model that the operator cannot use, ServerError
    if it does not load or answer.
    """
    read_entry(repository / name)
    with tempfile.TemporaryDirectory(prefix="gpu_infer-models-") as folder:
        (Path(folder) / name).symlink_to((repository / name).resolve())
        with LocalServer(Path(folder), on_line=on_line) as local:
            server = Server.connect(Endpoints(http=local.http, grpc=local.grpc))
            model = server.model(name)
            return _send(server, model, sizes)


def check_model_on_server(
    endpoints: Endpoints, name: str, sizes: tuple[int, ...] | None = None, *, load: bool = False
) -> ModelCheck:
    """Send one window of noise to the model `name` of a running server, with the data inside the request.

    sizes  the window's spatial sizes in the order of the model, for dynamic ones
    load   ask a server with explicit model control to load the model, unless it is ready

    Raises DeadlineError or ServerError if no server answers, otherwise what `check_model` raises.
    """
    server = Server.connect(endpoints, wait_s=_CONNECT_S)
    return _send(server, server.model(name, load=load), sizes)


def _send(server: Server, model: ModelInfo, sizes: tuple[int, ...] | None) -> ModelCheck:
    shape = _window(model, sizes)
    if model.batch_axis == "leading":
        shape = (model.max_batch if model.fixed_batch else 1, *shape)
    noise = np.random.default_rng(0).standard_normal(shape, np.float32).astype(model.input.dtype)
    request = InferRequest(
        model=model.name,
        version=model.version,
        input_name=model.input.name,
        datatype=model.input.datatype,
        shape=shape,
        source=noise,
        output_name=model.output.name,
    )
    client = server.client()
    try:
        started = time.perf_counter()
        reply = client.infer(request, _DEADLINE_S)
        seconds = time.perf_counter() - started
    finally:
        client.close()
    if reply.data is None or reply.data.size == 0:
        raise ModelError(f"model {model.name} answered {model.output.name} without a value", remedy="correct the model")
    return ModelCheck(
        model,
        shape,
        reply.shape,
        reply.datatype,
        seconds,
        float(reply.data.min()),
        float(reply.data.max()),
        bool(np.isfinite(reply.data).all()),
    )


def _window(model: ModelInfo, sizes: tuple[int, ...] | None) -> tuple[int, ...]:
    """The model's dims, channels first, with `sizes` for the spatial ones."""
    dims = model.input.dims
    if sizes is None:
        if -1 in dims[1:]:
            raise ConfigError(
                f"model {model.name} has the dynamic dims {list(dims)}",
                remedy=f"give the size of a window: --roi {'X,Y,Z' if len(dims) > _SLICE_DIMS else 'X,Y'}",
            )
        sizes = dims[1:]
    fits = len(sizes) == len(dims) - 1 and all(fixed in (-1, n) for fixed, n in zip(dims[1:], sizes, strict=True))
    if not fits or any(n < 1 for n in sizes):
        raise ConfigError(
            f"--roi: found {','.join(map(str, sizes))}, but model {model.name} has the dims {list(dims)}",
            remedy="give the spatial sizes that the model takes",
        )
    return (1 if dims[0] == -1 else dims[0], *sizes)
