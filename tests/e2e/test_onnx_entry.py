"""An entry of `models add` on the local Triton: values of the graph, with batches and in float16."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as grpc
from onnx import TensorProto
from onnx_files import threshold_model

from gpu_infer.repository.add import add_onnx
from gpu_infer.triton.local.serve import LocalServer

pytestmark = pytest.mark.slow


def test_the_local_server_answers_what_the_graph_computes(tmp_path: Path) -> None:
    models = tmp_path / "models"
    add_onnx(models, "full", threshold_model(tmp_path / "full.onnx"), max_batch_size=2)
    half = threshold_model(tmp_path / "half.onnx", (1, 1, 4, 4, 4), element=TensorProto.FLOAT16)
    add_onnx(models, "half", half)
    generator = np.random.default_rng(2)
    with LocalServer(models) as server, grpc.InferenceServerClient(server.grpc) as client:
        for name, shape, dtype in (
            ("full", (2, 1, 6, 5, 4), np.float32),
            ("half", (1, 1, 4, 4, 4), np.float16),
        ):
            x = generator.random(shape, np.float32).astype(dtype)
            tensor = grpc.InferInput("image", shape, "FP32" if dtype is np.float32 else "FP16")
            tensor.set_data_from_numpy(x)
            scores = client.infer(name, [tensor]).as_numpy("scores")
            np.testing.assert_array_equal(scores, np.concatenate([1 - x, x], axis=1))
