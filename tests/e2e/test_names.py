"""Inputs with names that are hard to say: segmented and published, or refused before the inference."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from operator_helpers import config, operate, write_nifti

from gpu_infer.errors import InputError

pytestmark = pytest.mark.slow

DATA = np.random.default_rng(6).random((9, 10, 11)).astype(np.float32)


@pytest.mark.parametrize("name", [" leading", "a\nElementDataFile = evil.raw\nb", "a\\b", "\udcff", "%s%n", "x" * 243])
def test_odd_names(tmp_path: Path, triton_server: Any, name: str) -> None:
    source = write_nifti(tmp_path / "input/case.nii", DATA, np.eye(4))
    source.rename(tmp_path / f"input/{name}.nii")
    content = config("threshold_half", roi_size=[8, 8, 8])
    for _ in range(2):
        result = operate(tmp_path, triton_server, content, publish=tmp_path / "publish", preview=True)
        assert result.data["warnings"] == []
    assert result.output.name == f"{name}.mhd"
    meta = json.loads((tmp_path / "publish/config.meta").read_text(encoding="utf-8"))
    for number, header in enumerate([result.output, tmp_path / "publish" / meta["seg_masks"][0]]):
        plain = shutil.copyfile(header, header.with_name(f"plain{number}.mhd"))
        labels = sitk.GetArrayFromImage(sitk.ReadImage(plain)).transpose(2, 1, 0)
        np.testing.assert_array_equal(labels, DATA > 0.5)


def test_a_name_that_is_too_long(tmp_path: Path, triton_server: Any) -> None:
    write_nifti(tmp_path / f"input/{'x' * 251}.nii", DATA, np.eye(4))
    content = config("threshold_half", roi_size=[8, 8, 8])
    with pytest.raises(InputError, match="259 bytes in the name of an output, expected at most 255"):
        operate(tmp_path, triton_server, content, publish=tmp_path / "publish")
    assert list((tmp_path / "output").iterdir()) == []
    assert operate(tmp_path, triton_server, content).output.stat().st_size > 0
