"""Imported nnU-Net models on a local Triton against nnU-Net's own predictor on the same files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from nnunet_cases import Case
from nnunet_parity import Served, check_labels, serve

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
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(CASES, tmp_path_factory.mktemp("nnunet")) as served:
        yield served


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_labels_are_those_of_nnunet(case: Case, served: Served, tmp_path: Path, equivalence: Any) -> None:
    check_labels(case, served, tmp_path / "out", equivalence)
