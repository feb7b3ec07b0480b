"""The answers of the models that tests and demo use, from the real server."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpu_infer.system.resources import resource_folder
from gpu_infer.triton.local.install import installed
from gpu_infer.triton.local.serve import LocalServer

pytestmark = pytest.mark.slow


def ask(address: str, model: str, x: Any) -> dict[str, Any]:
    """All outputs of one request over gRPC."""
    import tritonclient.grpc as grpc

    datatype = {"float32": "FP32", "float16": "FP16"}[x.dtype.name]
    with grpc.InferenceServerClient(address) as client:
        tensor = grpc.InferInput("NV_MODEL_INPUT", x.shape, datatype)
        tensor.set_data_from_numpy(x)
        result = client.infer(model, [tensor])
        return {each.name: result.as_numpy(each.name) for each in result.get_response().outputs}


@pytest.fixture
def x() -> Any:
    """[2, 1, 4, 5, 6] float32 in −1..5, values that float16 represents."""
    return (np.random.default_rng(5).integers(-64, 320, (2, 1, 4, 5, 6)) / 64).astype(np.float32)


def expected(x: Any) -> Any:
    return np.concatenate([np.full_like(x, 0.5), x], axis=1)


@pytest.mark.parametrize("model", ["threshold_half", "slow", "dynamic_channels", "two_outputs"])
def test_threshold(triton_server: LocalServer, x: Any, model: str) -> None:
    answer = ask(triton_server.grpc, model, x)
    np.testing.assert_array_equal(answer["NV_MODEL_OUTPUT"], expected(x))
    assert set(answer) == {"NV_MODEL_OUTPUT"} | ({"NV_MODEL_EXTRA"} if model == "two_outputs" else set())


def test_threshold_variants(triton_server: LocalServer, x: Any) -> None:
    half = ask(triton_server.grpc, "threshold_half_fp16", x.astype(np.float16))["NV_MODEL_OUTPUT"]
    assert half.dtype == np.float16
    np.testing.assert_array_equal(half, expected(x))
    single = ask(triton_server.grpc, "threshold_nobatch", x[0])["NV_MODEL_OUTPUT"]
    np.testing.assert_array_equal(single, expected(x)[0])
    last = ask(triton_server.grpc, "channels_last", np.ascontiguousarray(np.moveaxis(x, 1, -1)))["NV_MODEL_OUTPUT"]
    np.testing.assert_array_equal(last, np.moveaxis(expected(x), 1, -1))
    roi = np.resize(x, (1, 1, 16, 16, 16))
    np.testing.assert_array_equal(ask(triton_server.grpc, "fixed_roi", roi)["NV_MODEL_OUTPUT"], expected(roi))


def test_many_classes(triton_server: LocalServer, x: Any) -> None:
    five = ask(triton_server.grpc, "classes5", x)["NV_MODEL_OUTPUT"]
    # Halves are a tie between two classes, and the lower one wins.
    nearest = np.clip(np.ceil(x[:, 0] - 0.5), 0, 4)
    np.testing.assert_array_equal(five.argmax(1), nearest)
    many = ask(triton_server.grpc, "label300", x)["NV_MODEL_OUTPUT"]
    assert many.shape == (2, 301, 4, 5, 6)
    np.testing.assert_array_equal(many.argmax(1), np.where(x[:, 0] > 0.5, 300, 0))
    channels = np.concatenate([x, x + 1, x - 1], axis=1)
    np.testing.assert_array_equal(ask(triton_server.grpc, "three_channels", channels)["NV_MODEL_OUTPUT"], channels)


def test_models_that_misbehave(triton_server: LocalServer, x: Any) -> None:
    from tritonclient.utils import InferenceServerException

    with pytest.raises(InferenceServerException, match="this model always fails"):
        ask(triton_server.grpc, "fails", x)
    assert ask(triton_server.grpc, "lies", x)["NV_MODEL_OUTPUT"].shape == (2, 2, 4, 5, 5)


def test_lung_model_equals_onnxruntime(tmp_path: Path) -> None:
    """Triton's answer to a batch of two equals, bit for bit, onnxruntime's result for each window alone."""
    x = np.random.default_rng(9).random((2, 1, 320, 320, 64), dtype=np.float32)
    with LocalServer(resource_folder("models")) as server:
        served = ask(server.grpc, "segmentation_ct_lung_v1", x)["NV_MODEL_OUTPUT"]
    runtime = installed()
    assert runtime is not None
    np.save(tmp_path / "x.npy", x[1:])
    oracle = (
        "import numpy, onnxruntime, sys; s = onnxruntime.InferenceSession(sys.argv[1]); "
        "numpy.save(sys.argv[3], s.run(None, {'NV_MODEL_INPUT': numpy.load(sys.argv[2])})[0])"
    )
    onnx = resource_folder("models") / "segmentation_ct_lung_v1" / "1" / "lung_ct_demo.onnx"
    arguments = [onnx, tmp_path / "x.npy", tmp_path / "y.npy"]
    subprocess.run([runtime.folder / "bin" / "python", "-c", oracle, *arguments], check=True)
    np.testing.assert_array_equal(served[1:], np.load(tmp_path / "y.npy"))
    np.testing.assert_allclose(served.sum(axis=1), 1, atol=1e-6)
