"""A local server of some models of a repository: the others, broken ones among them, have no influence."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import tritonclient.grpc as grpc

from gpu_infer.triton.local.serve import LocalServer

pytestmark = pytest.mark.slow

THRESHOLD = Path(__file__).parents[2] / "models" / "threshold_half"


def _copy(repository: Path, name: str) -> Path:
    shutil.copytree(THRESHOLD, repository / name, ignore=shutil.ignore_patterns("__pycache__"))
    config = repository / name / "config.pbtxt"
    config.write_text(config.read_text().replace('"threshold_half"', f'"{name}"'))
    return repository / name


def test_other_models_are_not_loaded(tmp_path: Path) -> None:
    for name in ("net", "other", "broken"):
        _copy(tmp_path, name)
    (tmp_path / "broken" / "1" / "model.py").write_text("raise ValueError('no weights')\n")
    with LocalServer(tmp_path, names=["net"]) as server, grpc.InferenceServerClient(server.grpc) as client:
        assert client.is_model_ready("net")
        assert not client.is_model_ready("other")


def test_the_models_of_an_ensemble_are_loaded(tmp_path: Path) -> None:
    _copy(tmp_path, "part")
    _copy(tmp_path, "other")
    (tmp_path / "chain" / "1").mkdir(parents=True)
    with LocalServer(tmp_path, names=["part"]) as server, grpc.InferenceServerClient(server.grpc) as client:
        config = client.get_model_config("part").config
    x, y = config.input[0], config.output[0]
    (tmp_path / "chain" / "config.pbtxt").write_text(
        f'name: "chain" platform: "ensemble" max_batch_size: {config.max_batch_size}\n'
        f'input [{{ name: "x" data_type: TYPE_FP32 dims: {list(x.dims)} }}]\n'
        f'output [{{ name: "y" data_type: TYPE_FP32 dims: {list(y.dims)} }}]\n'
        'ensemble_scheduling { step [{ model_name: "part" model_version: -1\n'
        f'input_map {{ key: "{x.name}" value: "x" }} output_map {{ key: "{y.name}" value: "y" }} }}] }}\n'
    )
    with LocalServer(tmp_path, names=["chain"]) as server, grpc.InferenceServerClient(server.grpc) as client:
        assert client.is_model_ready("chain")
        assert client.is_model_ready("part")
        assert not client.is_model_ready("other")
