"""NaN among the scores: the file or the model is the cause."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gpu_infer.errors import InputError, ModelError
from gpu_infer.nan_scores import explain_nan_scores
from gpu_infer.volume.geometry import Geometry
from gpu_infer.volume.volume import Volume


def plan(shape: tuple[int, int, int], classes: int = 2) -> Any:
    return SimpleNamespace(
        model_names="lung", grid=SimpleNamespace(shape=shape), fit=SimpleNamespace(channels_out=classes)
    )


def volume(not_finite: int) -> Volume:
    data = np.zeros((1, 4, 5, 6), np.float32)
    return Volume(data, Geometry((4, 5, 6), np.eye(4)), Path("ct.nii"), "nifti", not_finite=not_finite)


def test_a_finite_volume_blames_the_model() -> None:
    with pytest.raises(ModelError, match="model lung answered NaN: 3 of the scores"):
        explain_nan_scores(3, plan((4, 5, 6)), volume(0))


@pytest.mark.parametrize("shape", [(4, 5, 6), (6, 4, 5)])
@pytest.mark.parametrize("nans", [1, 14])
def test_nan_that_stays_where_it_was_is_a_warning(shape: tuple[int, int, int], nans: int) -> None:
    assert "at voxels that are NaN or infinite in the file" in explain_nan_scores(nans, plan(shape), volume(7))


@pytest.mark.parametrize(("nans", "shape"), [(15, (4, 5, 6)), (1, (8, 10, 12))])
def test_nan_that_spreads_blames_the_file(nans: int, shape: tuple[int, int, int]) -> None:
    with pytest.raises(InputError, match=r'^ct\.nii: 7 voxels are NaN or infinite.*"nan": 0') as caught:
        explain_nan_scores(nans, plan(shape), volume(7))
    assert caught.value.exit_code == 3
