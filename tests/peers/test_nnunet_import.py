"""Imported nnU-Net models on a local Triton against nnU-Net's own predictor on the same files."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from nnunet_cases import Case
from nnunet_folders import write_case
from nnunet_peer import margins, on_file_grid, predict, read_labels, with_rules

from gpu_infer.app import run
from gpu_infer.imports.nnunet.import_model import Imported, Options, import_nnunet
from gpu_infer.settings import Settings
from gpu_infer.triton.local.serve import LocalServer

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("nnunet")]

OBLIQUE = (0.96, 0.28, 0.0, 0.28, -0.96, 0.0, 0.0, 0.0, -1.0)
ZSCORE = "ZScoreNormalization"

ORDER_1 = {"resampling_fn_data_kwargs": {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": False}}

CASES = [
    Case("ct"),
    Case("mirrored", mirroring=(0, 1, 2), shape=(36, 34, 30), patch=(20, 24, 16)),
    Case(
        "thick",
        shape=(52, 48, 14),
        file_spacing=(0.8, 0.8, 5.0),
        spacing=(4.0, 1.1, 1.1),
        patch=(8, 28, 28),
        direction=OBLIQUE,
    ),
    Case("mr", schemes=(ZSCORE, ZSCORE), masked=(True, True), file_spacing=(1.0, 1.2, 1.1)),
    Case("pet", schemes=(ZSCORE,), masked=(False,), configuration="3d_lowres"),
    Case("pet_ct", schemes=("CTNormalization", ZSCORE), masked=(False, False), extra_configuration=ORDER_1),
    Case("mixed", schemes=(ZSCORE, "RescaleTo01Normalization", ZSCORE), masked=(True, False, False)),
    Case("regions", schemes=("RescaleTo01Normalization",), regions=True),
    Case("folds", folds=(0, 1)),
    Case("components", components=((1, 2), (2,))),
    Case(
        "turned",
        transpose=(1, 2, 0),
        mirroring=(0, 2),
        shape=(30, 38, 34),
        file_spacing=(1.3, 0.9, 0.8),
        patch=(16, 20, 24),
        spacing=(1.0, 1.1, 1.2),
    ),
    Case(
        "slices",
        configuration="2d",
        shape=(44, 40, 12),
        file_spacing=(0.8, 0.9, 4.0),
        spacing=(1.1, 1.0),
        patch=(24, 28),
    ),
    Case(
        "turned_slices",
        configuration="2d",
        transpose=(2, 0, 1),
        mirroring=(0, 1),
        shape=(14, 40, 38),
        file_spacing=(2.5, 1.0, 0.9),
        spacing=(1.1, 1.0),
        patch=(24, 28),
    ),
    Case("reoriented", reader="NibabelIOWithReorient", direction=(0, 1, 0, -1, 0, 0, 0, 0, 1)),
]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LocalServer, dict[str, Any]]]:
    place = tmp_path_factory.mktemp("nnunet")
    imported = {}
    for case in CASES:
        trained, files = write_case(case, place / case.name)
        output = place / f"app_{case.name}"
        model = import_nnunet(trained, place / "models", output, Options(Path(sys.executable), case.name))
        imported[case.name] = (trained, files, model)
    with LocalServer(place / "models") as server:
        yield server, imported


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_labels_are_those_of_nnunet(case: Case, served: Any, tmp_path: Path, equivalence: Any) -> None:
    server, imported = served
    trained, files, model = imported[case.name]
    ours = read_labels(trained, _label_map(model, files, tmp_path / "out", server))
    half, full = (predict(case, trained, files, half=half) for half in (True, False))
    assert len(np.unique(half.labels)) > 2
    rounded, exact = with_rules(case, half.labels), with_rules(case, full.labels)
    different = ours != rounded
    assert bool(case.components) is bool((exact != full.labels).any())
    share = float(different.mean())
    margin = on_file_grid(case, margins(case, full.logits), full)
    band = 2 * on_file_grid(case, np.abs(half.logits - full.logits).max(axis=0), full)
    assert share <= 1e-4
    assert (margin[different] <= band[different] + 1e-4).all()
    assert (margin[ours != exact] <= 1e-3).all()
    equivalence.record(
        "nnunetv2 nnUNetPredictor",
        "gpu-infer import-nnunet, gpu-infer run",
        tolerance="labels differ on at most 1e-4 of the voxels, each within the rounding of nnU-Net's float16 sums",
        worst=share,
    )


def _label_map(model: Imported, files: list[Path], output: Path, server: LocalServer) -> Path:
    source = files[0] if len(files) == 1 else files[0].parent
    run(Settings(input=source, output=output, config=model.folder, triton_grpc=server.grpc))
    (path,) = output.glob("*.nii.gz")
    written, read = sitk.ReadImage(str(path)), sitk.ReadImage(str(files[0]))
    np.testing.assert_allclose(written.GetDirection(), read.GetDirection(), atol=1e-6)
    np.testing.assert_allclose(written.GetSpacing(), read.GetSpacing(), rtol=1e-6)
    return path
