"""`gpu-infer init`: the folder that it writes is valid, or what is missing is named."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from onnx_files import threshold_model

from gpu_infer.cli.main import main
from gpu_infer.repository.add import add_onnx


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["gpu-infer", *words])
    return main()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    add_onnx(tmp_path / "models", "net", threshold_model(tmp_path / "net.onnx"))
    return tmp_path


def test_the_folder_is_valid(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--roi", "32,32,16", "--spacing", "1,1,2.5", "--intensities=-1000,400"]
    assert call(monkeypatch, "init", "my_app", "--model", "net", *words) == 0
    assert capsys.readouterr().out == "wrote my_app\n"
    config = json.loads((folder / "my_app/config/config_inference.json").read_text())
    scale = config["pre_transforms"][2]["args"], config["pre_transforms"][3]["args"]
    assert scale[0]["target_resolution"] == [1, 1, 2.5]
    assert (scale[1]["a_min"], scale[1]["a_max"], scale[1]["clip"]) == (-1000, 400, True)
    assert config["inferer"]["args"] == {"model_name": "net", "roi_size": [32, 32, 16]}
    assert json.loads((folder / "my_app/config/labels.json").read_text()) == {"0": "background", "1": "label 1"}
    assert "COPY config/* /app/config/" in (folder / "my_app/Dockerfile").read_text()
    assert len((folder / "my_app/README.md").read_text().splitlines()) <= 10
    assert call(monkeypatch, "validate", "my_app/config/config_inference.json", "--models", "models") == 0
    assert ": valid" in capsys.readouterr().out
    assert call(monkeypatch, "init", "my_app", "--model", "net", *words) == 2
    assert "exists already" in capsys.readouterr().err


def test_what_is_not_prepared_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "init", "my_app", "--model", "net", "--roi", "8,8,8") == 0
    out = capsys.readouterr().out
    assert "note: no --spacing" in out
    assert "note: no --intensities" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "net"], "give the size of a window: --roi"),
        (["--model", "net", "--roi", "8,8"], "--roi: found 8,8"),
        (["--model", "other", "--roi", "8,8,8"], "gpu-infer models add other"),
        (["--model", "net", "--roi", "8,8,8", "--spacing", "1,1"], "expected 3 numbers"),
        (["--model", "net", "--roi", "8,8,8", "--intensities", "5,1"], "the lower one first"),
        (["--model", "net", "--roi", "8,8,8", "--classes", "3"], "leave --classes out"),
        (["--model", "net", "--roi", "8,8,8", "--logits"], "are for one output channel"),
    ],
)
def test_refusals_write_nothing(
    words: list[str],
    message: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert call(monkeypatch, "init", "my_app", *words) == 2
    assert message in capsys.readouterr().err
    assert sorted(p.name for p in folder.iterdir()) == ["models", "net.onnx"]
