"""Window modes of the operator with a real server: labels, report, and what is refused before a server is asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from operator_helpers import config, operate, write_nifti

from gpu_infer.errors import ConfigError

pytestmark = pytest.mark.slow

MODES: list[tuple[dict[str, Any], int]] = [
    ({"mode": "monai"}, 1),
    ({"mode": "monai", "overlap": [0.5, 0.25, 0.0], "blend": "gaussian", "cval": 1.0}, 1),
    ({"mode": "nnunet"}, 1),
    ({"mode": "nnunet", "mirror_axes": [0, 2], "step_size": 0.75}, 4),
]


@pytest.mark.parametrize(("arguments", "mirrors"), MODES)
def test_labels_and_report(tmp_path: Path, triton_server: Any, arguments: dict[str, Any], mirrors: int) -> None:
    data = np.random.default_rng(5).random((21, 6, 14), dtype=np.float32)
    write_nifti(tmp_path / "input/case.nii.gz", data, np.diag([1.0, 1.0, 1.0, 1.0]))
    seen = []
    for number, options in enumerate(({"slots": 1, "batch_size": 1}, {"slots": 3, "batch_size": 4, "slab": False})):
        root = tmp_path / str(number)
        root.mkdir()
        (root / "input").symlink_to(tmp_path / "input")
        result = operate(root, triton_server, config("threshold_half", roi_size=[8, 8, 8], **arguments), **options)
        seen.append(sitk.GetArrayFromImage(sitk.ReadImage(str(result.output))).transpose(2, 1, 0))
        tiles = json.loads((root / "logs/report.json").read_text())["tiles"]
        assert tiles["mode"] == arguments["mode"]
        assert tiles["inferred"] == mirrors * tiles["windows"]
        if "mirror_axes" in arguments:
            assert tiles["mode_settings"]["mirror_axes"] == [0, 2]
    # the model decides voxel by voxel, so that windows, weights and mirrors may not change anything
    np.testing.assert_array_equal(seen[0], data > 0.5)
    np.testing.assert_array_equal(seen[1], seen[0])


def test_an_option_that_contradicts_the_configuration(tmp_path: Path, triton_server: Any) -> None:
    write_nifti(tmp_path / "input/case.nii.gz", np.zeros((9, 9, 9), np.float32), np.eye(4))
    content = config("threshold_half", roi_size=[8, 8, 8], mode="monai", overlap=0.5)
    with pytest.raises(ConfigError, match="overlap belongs to mode monai, not to clara"):
        operate(tmp_path, triton_server, content, mode="clara")
    with pytest.raises(ConfigError, match="--mode: found 'swin', expected one of clara, monai, nnunet"):
        operate(tmp_path, triton_server, content, mode="swin")
