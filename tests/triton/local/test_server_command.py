"""Which folders are model repositories, and the options of a server."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpu_infer.errors import ConfigError
from gpu_infer.triton.local.serve import LocalServer
from gpu_infer.triton.local.server_command import server_options


def test_repositories_are_checked_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a folder"):
        LocalServer(tmp_path / "missing")
    file = tmp_path / "model.onnx"
    file.touch()
    with pytest.raises(ConfigError, match=r"model\.onnx is a file, expected a folder with one folder per model"):
        LocalServer(file)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="holds no model folder"):
        LocalServer(tmp_path / "empty")
    model = tmp_path / "models" / "lung"
    model.mkdir(parents=True)
    (model / "config.pbtxt").touch()
    with pytest.raises(ConfigError, match=f"is a model, not a model repository .*{tmp_path / 'models'}"):
        LocalServer(model)


def test_options_name_every_repository_and_both_ports(tmp_path: Path) -> None:
    options = server_options([tmp_path / "a", tmp_path / "b"], tmp_path / "backends", 8000, 8001)
    assert options[:2] == [f"--model-repository={tmp_path}/a", f"--model-repository={tmp_path}/b"]
    assert "--model-control-mode=none" in options
    assert {"--http-port=8000", "--grpc-port=8001", "--http-address=127.0.0.1"} < set(options)
