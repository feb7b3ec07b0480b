"""Further plans, networks, regions and folds against nnU-Net's own predictor on the same files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from nnunet_cases import Case
from nnunet_parity import Served, check_labels, serve

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("nnunet")]

ZSCORE = "ZScoreNormalization"

RESAMPLING = {"is_seg": False, "order_z": 0, "force_separate_z": None, "separate_z_anisotropy_threshold": 2}

CASES = [
    Case("regions_in_another_order", regions=True, region_order=(2, 3, 1)),
    Case("components_of_regions", regions=True, components=((1, 2, 3),)),
    Case("residual", network="ResidualEncoderUNet", mirroring=(1, 2)),
    Case("old_plans", old_plans=True),
    Case("one_training", folds=("all",)),
    Case("colours", schemes=("RGBTo01Normalization", "NoNormalization"), masked=(False, False)),
    Case(
        "threshold",
        shape=(48, 44, 18),
        file_spacing=(0.8, 0.9, 2.0),
        spacing=(2.2, 1.0, 1.0),
        patch=(12, 28, 28),
        extra_configuration={
            "resampling_fn_data_kwargs": {**RESAMPLING, "order": 3},
            "resampling_fn_probabilities_kwargs": {**RESAMPLING, "order": 1},
        },
    ),
    Case(
        "masked_slices",
        configuration="2d",
        schemes=(ZSCORE, ZSCORE),
        masked=(True, True),
        spacing=(1.0, 1.1),
        patch=(24, 28),
        mirroring=(1,),
    ),
    Case("first_of_a_cascade", configuration="3d_lowres", extra_configuration={"next_stage": "3d_cascade_fullres"}),
]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(CASES, tmp_path_factory.mktemp("nnunet")) as served:
        yield served


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_labels_are_those_of_nnunet(case: Case, served: Served, tmp_path: Path, equivalence: Any) -> None:
    check_labels(case, served, tmp_path / "out", equivalence)
