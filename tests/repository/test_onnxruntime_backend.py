"""The local Triton's backend for ONNX files, with stand-ins for Triton's module and for sessions of ONNX Runtime."""

from __future__ import annotations

import importlib.util
import json
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx_files import threshold_model

from gpu_infer.system.resources import resource_folder

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"


class Refused(Exception):
    """TritonModelException."""


class Tensor:
    def __init__(self, name: str, values: Any) -> None:
        self._name, self._values = name, values

    def name(self) -> str:
        return self._name

    def as_numpy(self) -> Any:
        return self._values


class Request:
    def __init__(self, values: Any, outputs: list[str]) -> None:
        self._values, self._outputs = values, outputs

    def inputs(self) -> list[Tensor]:
        return [Tensor("image", self._values)]

    def requested_output_names(self) -> list[str]:
        return self._outputs


class Session:
    """A session that records how it is made."""

    made: list[tuple[Any, list[Any]]]

    def __init__(self, path: str, options: Any, providers: list[Any]) -> None:
        Session.made.append((options, providers))
        self._session = onnxruntime.InferenceSession(path, options, providers=[CPU])
        self.get_inputs, self.get_outputs = self._session.get_inputs, self._session.get_outputs
        self.get_providers, self.run = self._session.get_providers, self._session.run


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The class of backends/onnxruntime/model.py; its log lines are in `lines`."""
    lines: list[str] = []
    logger = types.SimpleNamespace(log_info=lines.append, log_warn=lines.append)
    utilities = types.ModuleType("triton_python_backend_utils")
    utilities.__dict__.update(
        TritonModelException=Refused,
        Logger=logger,
        Tensor=Tensor,
        TritonError=str,
        InferenceResponse=lambda tensors=None, error=None: error or {t.name(): t.as_numpy() for t in tensors},
    )
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", utilities)
    monkeypatch.delenv("MODEL_THREADS", raising=False)
    Session.made = []
    stand_in = types.ModuleType("onnxruntime")
    stand_in.__dict__.update(
        __version__="1.0", InferenceSession=Session, SessionOptions=onnxruntime.SessionOptions,
        get_available_providers=lambda: [CUDA, CPU],
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "onnxruntime", stand_in)
    spec = importlib.util.spec_from_file_location("backend", resource_folder("backends") / "onnxruntime" / "model.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.TritonPythonModel.lines = lines
    return module.TritonPythonModel


def started(backend: Any, folder: Path, **config: Any) -> Any:
    version = folder / "1"
    version.mkdir(exist_ok=True)
    if not (version / "model.onnx").exists():
        threshold_model(version / "model.onnx")
    content = {"max_batch_size": 2, "input": [{"name": "image"}], "output": [{"name": "scores"}], **config}
    arguments = {"model_config": json.dumps(content), "model_repository": str(folder), "model_version": "1"}
    model = backend()
    model.initialize({**arguments, "model_instance_device_id": "1"})
    return model


def test_scores_of_a_batch(backend: Any, tmp_path: Path) -> None:
    x = np.random.default_rng(0).random((2, 1, 4, 5, 6), np.float32)
    (answer,) = started(backend, tmp_path).execute([Request(x, ["scores"])])
    np.testing.assert_array_equal(answer["scores"], np.concatenate([1 - x, x], axis=1))


def test_a_window_that_the_graph_refuses_is_an_error_of_the_request(backend: Any, tmp_path: Path) -> None:
    (answer,) = started(backend, tmp_path).execute([Request(np.zeros((1, 1, 4), np.float32), ["scores"])])
    assert answer.startswith("onnxruntime: ")


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ([{"kind": "KIND_AUTO"}], [(CUDA, {"device_id": 1}), CPU]),
        ([{"kind": "KIND_GPU"}], [(CUDA, {"device_id": 1}), CPU]),
        ([{"kind": "KIND_CPU"}], [CPU]),
    ],
)
def test_cuda_unless_the_instance_is_on_the_cpu(
    backend: Any, tmp_path: Path, groups: list[Any], expected: list[Any]
) -> None:
    started(backend, tmp_path, instance_group=groups)
    assert [providers for _, providers in Session.made] == [expected]


@pytest.mark.parametrize(
    ("parameter", "variable", "threads"), [(None, None, 0), ("3", None, 3), ("3", "2", 2), (None, "4", 4)]
)
def test_threads(
    backend: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    parameter: str | None,
    variable: str | None,
    threads: int,
) -> None:
    if variable is not None:
        monkeypatch.setenv("MODEL_THREADS", variable)
    parameters = {} if parameter is None else {"intra_op_thread_count": {"string_value": parameter}}
    started(backend, tmp_path, parameters=parameters)
    assert Session.made[0][0].intra_op_num_threads == threads


def test_an_accelerator_is_logged(backend: Any, tmp_path: Path) -> None:
    accelerators = {"gpu_execution_accelerator": [{"name": "tensorrt"}]}
    started(backend, tmp_path, optimization={"execution_accelerators": accelerators})
    assert "the local Triton has no accelerator tensorrt: served without it" in backend.lines


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"output": [{"name": "labels"}]}, "names the output 'labels', the graph has: scores"),
        ({"input": [{"name": "x"}]}, "names the input 'x', the graph has: image"),
        ({"default_model_filename": "net.onnx"}, "net.onnx not found"),
    ],
)
def test_what_does_not_fit_is_refused(backend: Any, tmp_path: Path, config: dict[str, Any], message: str) -> None:
    with pytest.raises(Refused, match=message):
        started(backend, tmp_path, **config)


def test_a_damaged_file_is_refused(backend: Any, tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "model.onnx").write_bytes(b"no model")
    with pytest.raises(Refused, match=r"onnxruntime 1\.0: "):
        started(backend, tmp_path)
