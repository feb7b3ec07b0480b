"""`gpu-infer models check`: one window to a local Triton or to a server that runs already."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from onnx_files import threshold_model

from gpu_infer.cli.main import main
from gpu_infer.repository.add import add_onnx
from gpu_infer.triton.local.serve import LocalServer

Capture = pytest.CaptureFixture[str]


def check(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["gpu-infer", "models", "check", *words])
    return main()


@pytest.mark.slow
def test_a_running_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    add_onnx(tmp_path / "models", "net", threshold_model(tmp_path / "net.onnx"))
    monkeypatch.chdir(tmp_path)
    with LocalServer(tmp_path / "models") as server:
        for address in (server.grpc, server.http):
            assert check(monkeypatch, "net", "--triton", address, "--roi", "6,5,4", "--json") == 0
            facts = json.loads(capsys.readouterr().out)
            assert facts["input"] == {"name": "image", "datatype": "FP32", "shape": [1, 1, 6, 5, 4]}
            assert facts["output"] == {"name": "scores", "datatype": "FP32", "shape": [1, 2, 6, 5, 4]}
            assert facts["finite"] is True
        assert check(monkeypatch, "net", "--triton", server.grpc) == 2
        assert "has the dynamic dims [1, -1, -1, -1]" in capsys.readouterr().err
        assert check(monkeypatch, "other", "--triton", server.grpc) != 0
        assert "net" in capsys.readouterr().err  # the models that it has


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--triton", "localhost:8001", "--models", "models"], "--models and --triton are two servers"),
        (["--load"], "--load belongs to --triton ADDRESS"),
        (["--tls-ca", "ca.pem"], "--tls-ca belongs to --triton ADDRESS"),
        (["--triton", "local", "--headers", "headers.txt"], "--headers belongs to --triton ADDRESS"),
        (["--triton", "localhost"], "Triton address 'localhost' has no port"),
        (["--triton", "localhost:8001", "--roi", "a"], "expected whole numbers"),
    ],
)
def test_refused_options(words: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    assert check(monkeypatch, "net", *words) == 2
    assert message in " ".join(capsys.readouterr().err.split())
