"""Predictors for MONAI's sliding_window_inference that call a model on Triton, with tensors as bytes in the message."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Predictor = Callable[[Any], Any]
"""Tensor [1, C, X, Y, Z] float32 in, tensor [1, K, X, Y, Z] float32 out, on the device of the first."""

DEADLINE_S = 600.0


def http_predictor(url: str, model: str) -> Predictor:
    """Tiles over HTTP, one at a time, as MONAI Deploy's remote model sends them."""
    import tritonclient.http as triton

    client = triton.InferenceServerClient(url, network_timeout=DEADLINE_S)
    return lambda tile: _infer(triton, client, model, tile, {"binary_data": True}, {})


def grpc_predictor(url: str, model: str) -> Predictor:
    """Tiles over gRPC, one at a time."""
    import tritonclient.grpc as triton

    client = triton.InferenceServerClient(url)
    return lambda tile: _infer(triton, client, model, tile, {}, {"client_timeout": DEADLINE_S})


def _infer(triton: Any, client: Any, model: str, tile: Any, binary: dict[str, bool], deadline: dict[str, float]) -> Any:
    import torch

    values = tile.cpu().numpy()
    tensor = triton.InferInput("NV_MODEL_INPUT", list(values.shape), "FP32")
    tensor.set_data_from_numpy(values, **binary)
    output = triton.InferRequestedOutput("NV_MODEL_OUTPUT", **binary)
    answer = client.infer(model, [tensor], outputs=[output], **deadline).as_numpy("NV_MODEL_OUTPUT")
    return torch.from_numpy(answer.copy()).to(tile.device)  # the message's bytes are read-only


class Counted:
    """A predictor that counts its windows."""

    def __init__(self, predictor: Predictor) -> None:
        self.windows = 0
        self._predictor = predictor

    def __call__(self, tile: Any) -> Any:
        self.windows += len(tile)
        return self._predictor(tile)
