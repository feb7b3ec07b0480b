"""`gpu-infer init`: the folder that it writes is valid, or what is missing is named."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest
from onnx import TensorProto, helper
from onnx_files import save_model, threshold_model

from gpu_infer.cli.main import main
from gpu_infer.repository.add import add_onnx, add_torchscript


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
    assert capsys.readouterr().out == (
        "wrote my_app\n"
        "next     gpu-infer validate my_app/config/config_inference.json --models models\n"
        "next     gpu-infer run -i SCAN -o out_my_app --config my_app/config --triton local --models models\n"
    )
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


def test_a_model_that_answers_labels(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tensor = helper.make_tensor_value_info
    save_model(
        folder / "labels.onnx",
        [helper.make_node("Cast", ["image"], ["labels"], to=TensorProto.INT64)],
        [tensor("image", TensorProto.FLOAT, ("N", 1, "X", "Y", "Z"))],
        [tensor("labels", TensorProto.INT64, ("N", 1, "X", "Y", "Z"))],
        [],
    )
    add_onnx(folder / "models", "labels", folder / "labels.onnx")
    assert call(monkeypatch, "init", "my_app", "--model", "labels", "--roi", "8,8,8", "--classes", "3") == 0
    assert call(monkeypatch, "validate", "my_app/config", "--models", "models") == 0
    assert ": valid" in capsys.readouterr().out


def test_what_is_not_prepared_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "init", "my_app", "--model", "net", "--roi", "8,8,8") == 0
    out = capsys.readouterr().out
    assert "note: no --spacing" in out
    assert "note: no --intensities" in out


def test_the_next_commands_can_be_pasted(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Their paths begin at the current folder, also if they contain blanks."""
    (folder / "models").rename(folder / "my models")
    words = ["--model", "net", "--models", "my models", "--roi", "8,8,8"]
    assert call(monkeypatch, "init", f"{folder}/new apps/lung", *words) == 0
    commands = [shlex.split(line)[1:] for line in capsys.readouterr().out.splitlines() if line.startswith("next ")]
    run = (
        f"gpu-infer run -i SCAN -o out_lung --config '{folder}/new apps/lung/config' --triton local "
        "--models 'my models'"
    )
    assert commands[1] == shlex.split(run)
    assert commands[0][:2] == ["gpu-infer", "validate"]
    assert call(monkeypatch, *commands[0][1:]) == 0
    assert ": valid" in capsys.readouterr().out


def test_a_model_that_the_local_triton_does_not_serve_runs_elsewhere(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "net.pt").write_bytes(b"network")
    add_torchscript(folder / "models", "script", folder / "net.pt", input_dims=[1, 8, 8, 8], output_dims=[2, 8, 8, 8])
    assert call(monkeypatch, "init", "my_app", "--model", "script") == 0
    command = "gpu-infer run -i SCAN -o out_my_app --config my_app/config --triton HOST:PORT\n"
    assert capsys.readouterr().out.endswith(f"next     {command}")
    assert (folder / "my_app/README.md").read_text().endswith(f"    {command}")


@pytest.mark.parametrize(("channels", "dtype"), [(256, "uint8"), (257, "uint16")])
def test_the_label_map_holds_all_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, channels: int, dtype: str
) -> None:
    (tmp_path / "net.pt").write_bytes(b"network")
    add_torchscript(
        tmp_path / "models", "net", tmp_path / "net.pt", input_dims=[1, 8, 8, 8], output_dims=[channels, 8, 8, 8]
    )
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, "init", "app", "--model", "net") == 0
    config = json.loads((tmp_path / "app/config/config_inference.json").read_text())
    assert config["writers"][0]["args"]["dtype"] == dtype


@pytest.mark.parametrize(
    ("words", "window", "axis"),
    [
        (["--roi", "256,192"], [256, 192], "Z"),
        (["--roi", "256,64", "--slice-axis", "y"], [256, 64], "Y"),
    ],
)
def test_a_model_of_slices(
    words: list[str],
    window: list[int],
    axis: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    add_onnx(folder / "models", "plane", threshold_model(folder / "plane.onnx", ("N", 1, "H", "W")))
    assert call(monkeypatch, "init", "my_app", "--model", "plane", *words) == 0
    assert ("note: no --slice-axis: the model gets slices across Z" in capsys.readouterr().out) is (len(words) == 2)
    config = json.loads((folder / "my_app/config/config_inference.json").read_text())
    assert config["inferer"]["args"] == {"model_name": "plane", "roi_size": window, "slice_axis": axis}
    assert call(monkeypatch, "validate", "my_app/config/config_inference.json", "--models", "models") == 0
    assert ": valid" in capsys.readouterr().out


def test_slices_of_a_fixed_size_need_no_window(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_onnx(folder / "models", "plane", threshold_model(folder / "plane.onnx", ("N", 1, 64, 48)))
    assert call(monkeypatch, "init", "my_app", "--model", "plane", "--slice-axis", "X") == 0
    config = json.loads((folder / "my_app/config/config_inference.json").read_text())
    assert config["inferer"]["args"] == {"model_name": "plane", "slice_axis": "X"}


def test_slices_with_a_batch_of_their_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four dims of an entry without a batch of the server are [B, C, H, W] if --slice-axis says so."""
    (folder / "models/plane").mkdir()
    (folder / "models/plane/config.pbtxt").write_text(
        """backend: "python" max_batch_size: 0
        input [{ name: "image" data_type: TYPE_FP32 dims: [ -1, 1, 64, 48 ] }]
        output [{ name: "scores" data_type: TYPE_FP32 dims: [ -1, 2, 64, 48 ] }]"""
    )
    assert call(monkeypatch, "init", "my_app", "--model", "plane", "--slice-axis", "Z") == 0
    config = json.loads((folder / "my_app/config/config_inference.json").read_text())
    assert config["inferer"]["args"] == {"model_name": "plane", "slice_axis": "Z"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "model plane has the dynamic dims [1, -1, -1] (give the size of a window: --roi 256,256, inside a slice)"),
        (["--roi", "8,8,8"], "dims [1, -1, -1] (give the two sizes that the model takes)"),
        (["--roi", "8,8", "--slice-axis", "A"], "--slice-axis: found 'A', expected X, Y or Z (name one axis"),
    ],
)
def test_refusals_of_slices(
    words: list[str],
    message: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    add_onnx(folder / "models", "plane", threshold_model(folder / "plane.onnx", ("N", 1, "H", "W")))
    assert call(monkeypatch, "init", "my_app", "--model", "plane", *words) == 2
    assert message in capsys.readouterr().err
    assert not (folder / "my_app").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "net", "--roi", "8,8,8", "--slice-axis", "Z"], "--slice-axis Z: model net takes volumes"),
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
