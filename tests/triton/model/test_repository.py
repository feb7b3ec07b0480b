"""Models as their folders in a repository describe them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gpu_infer.errors import ModelError
from gpu_infer.triton.model.info import ModelInfo, TensorInfo
from gpu_infer.triton.model.repository import model_in_repository

TOYS = Path(__file__).parents[2] / "models"


def test_a_model_of_the_tests() -> None:
    f32 = np.dtype(np.float32)
    assert model_in_repository(TOYS, "threshold_half") == ModelInfo(
        name="threshold_half",
        version="1",
        platform="python",
        input=TensorInfo("NV_MODEL_INPUT", f32, "FP32", (1, -1, -1, -1)),
        output=TensorInfo("NV_MODEL_OUTPUT", f32, "FP32", (2, -1, -1, -1)),
        max_batch=4,
    )


def test_a_folder_without_a_configuration(tmp_path: Path) -> None:
    (tmp_path / "toy").mkdir()
    assert model_in_repository(tmp_path, "toy") is None
    assert model_in_repository(tmp_path, "missing") is None


def test_a_configuration_that_does_not_parse_is_named(tmp_path: Path) -> None:
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "config.pbtxt").write_text("max_batch_size: many")
    with pytest.raises(ModelError, match=r"toy/config\.pbtxt: .*many"):
        model_in_repository(tmp_path, "toy")


def test_the_highest_version_is_the_latest(tmp_path: Path) -> None:
    for version in ("2", "10", "notes"):
        (tmp_path / "toy" / version).mkdir(parents=True)
    (tmp_path / "toy" / "config.pbtxt").write_text((TOYS / "threshold_half" / "config.pbtxt").read_text())
    described = model_in_repository(tmp_path, "toy")
    assert described is not None
    assert described.version == "10"
