"""`gpu-infer models`: from a file to an entry, its list, and its end; what an .onnx in a wrong place is answered."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from onnx_files import threshold_model

from gpu_infer.cli.main import main

Run = pytest.CaptureFixture[str]


@contextlib.contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    yield
    os.close(descriptor)


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["gpu-infer", *words])
    return main()


def test_add_list_remove(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Run) -> None:
    monkeypatch.chdir(tmp_path)
    threshold_model(tmp_path / "net.onnx")
    assert call(monkeypatch, "models", "add", "net", "--onnx", "net.onnx", "--rename", "image=x=1") == 0
    assert capsys.readouterr().out == (
        "wrote models/net\n"
        "net: onnxruntime, max_batch_size 1\n"
        "  input   x=1 FP32 [1, -1, -1, -1]\n"
        "  output  scores FP32 [2, -1, -1, -1]\n"
    )
    (tmp_path / "models/empty").mkdir()
    assert call(monkeypatch, "models", "list", "--json") == 0
    empty, net = json.loads(capsys.readouterr().out)
    assert "config.pbtxt is missing" in empty["fault"]
    assert net["inputs"] == [{"name": "x=1", "dtype": "FP32", "dims": [1, -1, -1, -1]}]
    assert call(monkeypatch, "models", "remove", "net") == 0
    assert [p.name for p in (tmp_path / "models").iterdir()] == ["empty"]


def test_what_a_killed_process_wrote_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Run) -> None:
    monkeypatch.chdir(tmp_path)
    threshold_model(tmp_path / "net.onnx")
    killed = tmp_path / "models/.gpu-infer-abc"
    killed.mkdir(parents=True)
    with locked_folder(tmp_path / "models"):  # another process may be writing it
        assert call(monkeypatch, "models", "list") == 0
    assert capsys.readouterr().out == "models: no model\n"
    assert call(monkeypatch, "models", "list") == 0
    assert capsys.readouterr().out.startswith(".gpu-infer-abc: a `gpu-infer models add` that was killed wrote it")
    assert call(monkeypatch, "models", "add", "net", "--onnx", "net.onnx") == 0
    assert not killed.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["add", "net"], "found no file"),
        (["add", "net", "--onnx", "net.onnx", "--torchscript", "net.pt"], "found two files"),
        (["add", "net", "--onnx", "net.onnx", "--dims", "1,2"], "belong to --torchscript"),
        (["add", "net", "--torchscript", "net.onnx"], "does not name its shapes"),
        (["add", "net", "--onnx", "net.onnx", "--rename", "image"], "expected OLD=NEW"),
        (["add", "a/b", "--onnx", "net.onnx"], "contains a path"),
        (["remove", "net"], "is not a folder"),
        (["list"], "cannot be read"),
        (["check", "net"], "is missing"),
    ],
)
def test_refusals(words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Run) -> None:
    monkeypatch.chdir(tmp_path)
    threshold_model(tmp_path / "net.onnx")
    assert call(monkeypatch, "models", *words) in (2, 4)
    assert message in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["net.onnx"]


@pytest.mark.parametrize(
    "words",
    [
        ["run", "-i", "scan.nii", "--triton", "local", "--models", "net.onnx"],
        ["triton", "serve", "--models", "net.onnx"],
        ["triton", "serve", "--models", "."],
    ],
)
def test_a_file_in_place_of_a_repository_names_the_command(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Run
) -> None:
    monkeypatch.chdir(tmp_path)
    threshold_model(tmp_path / "net.onnx")
    assert call(monkeypatch, *words) == 2
    assert "gpu-infer models add NAME --onnx" in capsys.readouterr().err
