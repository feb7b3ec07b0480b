"""The benches' models on the GPU: values, tensors and server as those on the CPU."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from real_device import why_no_device

from bench.support.served import MODELS, MODELS_GPU, models_device, probe, served
from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.errors import ServerError
from gpu_infer.triton.model.repository import model_in_repository

NAMES = ("tile", "half", "classes105")


class Tensor:
    """`pb_utils.Tensor`'s part, of host memory."""

    def __init__(self, name: str, array: Any) -> None:
        self.name, self.array = name, array

    from_dlpack: Callable[[str, Any], Tensor]

    def is_cpu(self) -> bool:
        return False

    def as_numpy(self) -> Any:
        return self.array

    def __dlpack__(self, **options: Any) -> Any:
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.array.__dlpack_device__()


Tensor.from_dlpack = Tensor


@pytest.fixture
def load_model(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Any]:
    """A model of a repository, with NumPy in the place of CuPy."""
    stub = ModuleType("triton_python_backend_utils")
    stub.Tensor = Tensor  # type: ignore[attr-defined]
    stub.InferenceResponse = lambda tensors: tensors  # type: ignore[attr-defined]
    stub.get_input_tensor_by_name = lambda request, name: request[name]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, stub.__name__, stub)
    cupy = ModuleType("cupy")
    for name in ("from_dlpack", "asarray", "full", "zeros", "arange", "float32", "int64"):
        setattr(cupy, name, getattr(np, name))
    quiet = SimpleNamespace(use=lambda: None, synchronize=lambda: None)
    cupy.cuda = SimpleNamespace(Device=lambda n: quiet, get_current_stream=lambda: quiet)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cupy", cupy)

    def make(folder: Path) -> Any:
        spec = importlib.util.spec_from_file_location("bench_model", folder / "1" / "model.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        model = module.TritonPythonModel()
        model.initialize({"model_instance_device_id": "0"})
        return model

    return make


@pytest.mark.parametrize("name", NAMES)
def test_both_answer_the_same(load_model: Callable[[Path], Any], name: str) -> None:
    host, device = load_model(MODELS / name), load_model(MODELS_GPU / name)
    rng = np.random.default_rng(5)
    for shape in ((1, 1, 5, 4, 3), (1, 1, 5, 4, 3), (1, 1, 2, 3, 6)):
        x = rng.integers(0, 105, shape).astype(np.float32)
        answers = []
        for model in (host, device):
            ((tensor,),) = model.execute([{"NV_MODEL_INPUT": Tensor("NV_MODEL_INPUT", x.copy())}])
            assert tensor.name == "NV_MODEL_OUTPUT"
            answers.append(tensor.array)
        assert answers[1].dtype == np.float32
        assert answers[1].flags.c_contiguous
        np.testing.assert_array_equal(answers[1], answers[0])


@pytest.mark.parametrize("name", NAMES)
def test_configurations_differ_in_the_device_alone(name: str) -> None:
    assert model_in_repository(MODELS_GPU, name) == model_in_repository(MODELS, name)
    lines = (MODELS_GPU / name / "config.pbtxt").read_text().splitlines()
    *shared, forced = lines
    assert "\n".join(shared).replace("KIND_GPU", "KIND_CPU") == (MODELS / name / "config.pbtxt").read_text().strip()
    assert forced == 'parameters { key: "FORCE_CPU_ONLY_INPUT_TENSORS" value { string_value: "no" } }'


class Gpu(CpuBackend):
    """A backend with the name of the GPU's."""

    name = "gpu"


@pytest.mark.slow
def test_a_server_without_a_gpu_serves_the_models_on_the_cpu() -> None:
    if why_no_device() is None:
        pytest.skip("this machine has a GPU")
    with served(Gpu()) as (server, note):
        assert server.models == (MODELS,)
        assert models_device(server) == "cpu"
        probe(server, CpuBackend())
    assert note.startswith("The models compute on the CPU, to which the server copies every tile: the local Triton")
    assert "no GPUs are available" in note


@pytest.mark.slow
def test_a_wrong_answer_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    with served(CpuBackend()) as (server, note):
        assert note == "The models compute on the CPU."
        backend = CpuBackend()
        monkeypatch.setattr(backend, "download", lambda array: array * 2)
        with pytest.raises(ServerError, match=r"model tile answered \(1\.0, 14\.0\), expected \(0\.5, 7\.0\)"):
            probe(server, backend)


@pytest.mark.slow
@pytest.mark.gpu
def test_the_device_computes_in_the_slot() -> None:
    """With CuPy in the server's environment; skipped with the server's reason if CuPy is missing."""
    from gpu_infer.backends.choose import choose_backend

    with served(choose_backend("gpu")) as (server, note):
        if server.models == (MODELS,):
            pytest.skip(note)
        assert note == "The models compute on the GPU."
