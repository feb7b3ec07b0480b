"""A bundle whose network is TorchScript: metadata.json has the channels, and a stock Triton serves the entry."""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from bundle_cases import COMPONENTS, CT, SLICES, BundleCase
from onnx_files import threshold_model

from gpu_infer.cli.main import main
from gpu_infer.config.load import load_config
from gpu_infer.errors import ConfigError
from gpu_infer.imports.bundle.import_model import Imported, Options, import_bundle
from gpu_infer.triton.model.config_file import read_config_file


def written(case: BundleCase, place: Path, inputs: Any = 1, **change: Any) -> tuple[Path, Path]:
    """The folder of the bundle, and its TorchScript file."""
    folder = case.write(place)
    path = folder / "configs" / "metadata.json"
    metadata = json.loads(path.read_text(encoding="utf-8"))
    metadata["network_data_format"]["inputs"] = {"image": {"num_channels": inputs}}
    metadata["network_data_format"]["outputs"]["pred"] |= change
    path.write_text(json.dumps(metadata), encoding="utf-8")
    network = folder / "models" / "model.ts"
    with zipfile.ZipFile(network, "w") as archive:
        archive.writestr("model/data.pkl", b"")
        archive.writestr("model/code/__torch__.py", b"")
    return folder, network


def imported(folder: Path, place: Path, **options: Any) -> Imported:
    return import_bundle(folder, place / "models", place / "app", Options(**options))


@pytest.mark.parametrize(("case", "axes", "batch"), [(CT, 3, 1), (COMPONENTS, 3, 1), (SLICES, 2, 16)])
def test_an_entry_for_the_pytorch_backend(case: BundleCase, axes: int, batch: int, tmp_path: Path) -> None:
    folder, network = written(case, tmp_path, case.channels)
    entry = imported(folder, tmp_path, torchscript=network).entry
    assert (entry.backend, entry.max_batch_size) == ("pytorch", batch)
    assert entry.inputs == (("INPUT__0", "FP32", (case.channels, *(-1,) * axes)),)
    assert entry.outputs == (("OUTPUT__0", "FP32", (case.classes, *(-1,) * axes)),)
    assert (entry.folder / "1" / "model.pt").read_bytes() == network.read_bytes()
    read_config_file(entry.folder / "config.pbtxt")
    load_config(tmp_path / "app" / "config_inference.json", {})


def test_the_command_names_a_server_that_is_not_the_local_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder, network = written(CT, tmp_path)
    monkeypatch.setattr(sys, "argv", ["gpu-infer", "import-bundle", str(folder), "--torchscript", str(network)])
    assert main() == 0
    assert capsys.readouterr().out.splitlines()[-1] == (
        "gpu-infer run -i SCAN -o out_ct_app --config ct_app --triton HOST:PORT"
    )


@pytest.mark.parametrize(
    ("inputs", "change", "message"),
    [
        (None, {}, r"inputs\.image\.num_channels is missing, expected the number of channels"),
        (0, {}, r"inputs\.image\.num_channels: found 0, expected a number from 1 on"),
        (True, {}, r"inputs\.image\.num_channels: found True, expected a number from 1 on"),
        (1, {"num_channels": None}, r"outputs\.pred\.num_channels is missing"),
    ],
)
def test_channels_that_are_not_known(inputs: Any, change: dict[str, Any], message: str, tmp_path: Path) -> None:
    folder, network = written(CT, tmp_path, inputs, **change)
    with pytest.raises(ConfigError, match=message):
        imported(folder, tmp_path, torchscript=network)
    assert not (tmp_path / "models").exists()
    assert not (tmp_path / "app").exists()


def test_refused_files(tmp_path: Path) -> None:
    folder, network = written(CT, tmp_path)
    with pytest.raises(ConfigError, match=r"--files: found 2, but the image in .*metadata\.json has 1 channels"):
        imported(folder, tmp_path, torchscript=network, files=("a.nii", "b.nii"))
    onnx = threshold_model(tmp_path / "net.onnx")
    with pytest.raises(ConfigError, match="--onnx and --torchscript: found both, expected one network"):
        imported(folder, tmp_path, torchscript=network, onnx=onnx)
    checkpoint = tmp_path / "model.pt"
    with zipfile.ZipFile(checkpoint, "w") as archive:
        archive.writestr("model/data.pkl", b"")
    for path in (checkpoint, onnx, tmp_path / "missing.ts"):
        with pytest.raises(ConfigError, match=rf"--torchscript: {path} has no TorchScript code, expected a file such"):
            imported(folder, tmp_path, torchscript=path)
