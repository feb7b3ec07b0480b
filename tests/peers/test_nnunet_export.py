"""What the export of an nnU-Net folder writes, and what it refuses."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from nnunet_cases import Case
from nnunet_folders import build_network, write_case
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from gpu_infer.cli.main import main
from gpu_infer.errors import ConfigError
from gpu_infer.imports.nnunet.import_model import Imported, Options, import_nnunet

pytestmark = pytest.mark.slow

SMALL = Case("small", shape=(20, 20, 20), patch=(16, 16, 16))


class Custom:
    """An object of a training's own class."""


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    return write_case(SMALL, tmp_path)[0]


def imported(trained: Path, **options: Any) -> Imported:
    place = trained.parent
    return import_nnunet(trained, place / "models", place / "app", Options(Path(sys.executable), **options))


def change_checkpoint(trained: Path, **keys: Any) -> None:
    path = trained / "fold_0" / "checkpoint_final.pth"
    torch.save({**torch.load(path, weights_only=False), **keys}, path)


def test_names_batch_and_notes(trained: Path) -> None:
    result = imported(trained)
    entry = result.entry
    assert (entry.name, entry.max_batch_size) == ("Dataset001_small_3d_fullres", 1)
    assert [(t.name, t.dims) for t in (*entry.inputs, *entry.outputs)] == [
        ("input", (1, 16, 16, 16)),
        ("output", (3, 16, 16, 16)),
    ]
    assert json.loads((result.folder / "labels.json").read_text()) == {"0": "background", "1": "organ", "2": "lesion"}
    assert result.notes == ["3d_fullres of nnUNetTrainer, fold 0"]


def test_a_rule_of_the_training_becomes_a_transform(trained: Path) -> None:
    place = trained / "crossval_results_folds_0"
    place.mkdir()
    functions = ["remove_all_but_largest_component_from_segmentation"]
    content = {"postprocessing_fns": functions, "postprocessing_kwargs": [{"labels_or_regions": [1, 2]}]}
    (place / "postprocessing.json").write_text(json.dumps(content), encoding="utf-8")
    content = json.loads((imported(trained).folder / "config_inference.json").read_text())
    assert content["post_transforms"][-1]["name"] == "KeepLargestCC"


def test_objects_in_a_checkpoint_need_trust(trained: Path) -> None:
    change_checkpoint(trained, optimizer_state=Custom())
    with pytest.raises(ConfigError, match=r"cannot be read with weights_only=True.*--trust-checkpoint"):
        imported(trained)
    assert not (trained.parent / "app").exists()
    assert not (trained.parent / "models").exists()


def test_trust_is_noted(trained: Path) -> None:
    change_checkpoint(trained, optimizer_state=Fraction(1, 2))  # a class that the export can import
    result = imported(trained, trust_checkpoint=True)
    path = trained / "fold_0" / "checkpoint_final.pth"
    assert result.notes[1:] == [f"{path} was unpickled: it cannot be read with weights_only=True"]


def test_the_command_exports_the_fold_that_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    case = replace(SMALL, folds=(0, 1), mirroring=(0, 1))
    trained, _ = write_case(case, tmp_path)
    monkeypatch.chdir(tmp_path)
    words = f"import-nnunet {trained} --name organ --folds 1 --no-mirroring --output app --models models"
    monkeypatch.setattr(sys, "argv", ["gpu-infer", *words.split()])
    assert main() == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "wrote models/organ"
    assert lines[-2:] == [
        "note: 3d_fullres of nnUNetTrainer, fold 1",
        "gpu-infer run -i SCAN -o out_app --config app --triton local --models models",
    ]
    content = json.loads(Path("app/config_inference.json").read_text(encoding="utf-8"))
    assert "mirror_axes" not in content["inferer"]["args"]
    network = build_network(PlansManager(case.plans()).get_configuration(case.configuration), 1, 3).eval()
    network.load_state_dict(torch.load(trained / "fold_1/checkpoint_final.pth", weights_only=False)["network_weights"])
    windows = np.random.default_rng(0).standard_normal((1, 1, 16, 16, 16), np.float32)
    with torch.inference_mode():
        expected = network(torch.from_numpy(windows)).numpy()
    scores = onnxruntime.InferenceSession("models/organ/1/model.onnx").run(None, {"input": windows})[0]
    np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_a_damaged_checkpoint(trained: Path) -> None:
    path = trained / "fold_0" / "checkpoint_final.pth"
    path.write_bytes(pickle.dumps(np.zeros(3)) + b"cut")
    with pytest.raises(ConfigError, match=r"checkpoint_final.pth: cannot be read"):
        imported(trained, trust_checkpoint=True)


REFUSED: list[tuple[Callable[[Path], Any], str]] = [
    (lambda p: change_checkpoint(p, trainer_name="nnUNetTrainerOfMine"), "nnUNetTrainerOfMine"),
    (lambda p: change_checkpoint(p, network_weights={}), "its weights do not fit the network of plans.json"),
    (lambda p: change_checkpoint(p, inference_allowed_mirroring_axes=(0, 5)), "allows mirroring along axes"),
]


@pytest.mark.parametrize(("change", "message"), REFUSED)
def test_refused_checkpoints(trained: Path, change: Callable[[Path], Any], message: str) -> None:
    change(trained)
    with pytest.raises(ConfigError, match=message):
        imported(trained)
    assert not (trained.parent / "app").exists()
    assert not (trained.parent / "models").exists()


def test_folders_that_cannot_be_imported(trained: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no fold_3/checkpoint_final.pth"):
        imported(trained, folds=["3"])
    with pytest.raises(ConfigError, match=r"no fold has checkpoint_best.pth"):
        imported(trained, checkpoint="checkpoint_best.pth")
    with pytest.raises(ConfigError, match=r"plans.json: cannot be read: No such file"):
        imported(trained / "fold_0")
    (trained.parent / "app").mkdir()
    with pytest.raises(ConfigError, match="app exists already"):
        imported(trained)


def test_an_environment_without_nnunet(trained: Path) -> None:
    python = trained.parent / "python"
    python.write_text("#!/bin/sh\necho 'ModuleNotFoundError: No module named nnunetv2' >&2; exit 1\n")
    python.chmod(0o755)
    with pytest.raises(ConfigError, match=r"cannot run nnU-Net: ModuleNotFoundError: .*give --python"):
        import_nnunet(trained, trained.parent / "models", trained.parent / "app", Options(python))
    with pytest.raises(ConfigError, match="nothing is not a program"):
        import_nnunet(trained, trained.parent / "models", None, Options(Path("nothing")))
