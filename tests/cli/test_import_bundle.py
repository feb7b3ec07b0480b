"""`gpu-infer import-bundle`: what it writes is valid, and what is refused ends with exit code 2."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from bundle_cases import CT, REGIONS
from onnx_files import channels_model

from gpu_infer.cli.main import main


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["gpu-infer", *words])
    return main()


def test_what_is_written_is_valid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    channels_model(CT.write(tmp_path) / "models" / "model.onnx", 1, 3, 3)
    assert call(monkeypatch, "import-bundle", "ct") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "wrote models/ct"
    assert lines[-2:] == [
        "wrote ct_app",
        "gpu-infer run -i SCAN -o out_ct_app --config ct_app --triton local --models models",
    ]
    assert call(monkeypatch, "validate", "ct_app/config_inference.json", "--models", "models") == 0
    assert ": valid" in capsys.readouterr().out
    assert call(monkeypatch, "import-bundle", "ct") == 2
    assert "ct_app exists already" in capsys.readouterr().err


def test_files_are_those_of_the_channels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    onnx = channels_model(tmp_path / "net.onnx", 4, 3, 3)
    folder = REGIONS.write(tmp_path)
    words = ["--models", str(tmp_path / "models"), "-o", str(tmp_path / "app"), "--onnx", str(onnx)]
    assert call(monkeypatch, "import-bundle", str(folder), *words, "--files", "a.nii, b.nii") == 2
    assert f"--files: found 2, but image of {onnx} has 4 channels" in capsys.readouterr().err
    assert call(monkeypatch, "import-bundle", str(folder), *words, "--files", "*_a.nii, *_b.nii, *_c.nii, *_d.nii") == 0
    content = json.loads((tmp_path / "app" / "config_inference.json").read_text(encoding="utf-8"))
    assert content["pre_transforms"][0]["args"]["files"] == ["*_a.nii", "*_b.nii", "*_c.nii", "*_d.nii"]
