"""A 2-D model on the whole chest CT of the demo equals the plain loop over its slices, with a real server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray
from operator_helpers import config, operate, write_nifti
from toy_scores import places

from gpu_infer.demo.volume import fetch_demo_ct

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

COARSER = 2
"""Every second row and column of a slice, so that the three runs and the loops take less than a minute."""


@pytest.fixture(scope="module")
def ct() -> NDArray[np.float32]:
    """[X, Y, Z], −1000 to 1000 HU as 0 to 1."""
    hu = sitk.GetArrayFromImage(sitk.ReadImage(str(fetch_demo_ct()))).transpose(2, 1, 0)
    return np.clip((hu[::COARSER, ::COARSER].astype(np.float32) + 1000) / 2000, 0, 1)


@pytest.mark.parametrize("axis", ["X", "Y", "Z"])
def test_every_slice_of_the_ct(tmp_path: Path, triton_server: Any, ct: NDArray[np.float32], axis: str) -> None:
    write_nifti(tmp_path / "input/ct.nii", ct, np.diag([0.627 * COARSER, 0.627 * COARSER, 5.0, 1.0]))
    content = config("places2d", slice_axis=axis)
    content["inferer"]["name"] = "TRTISSimpleInferer"
    result = operate(tmp_path, triton_server, content, deadline_s=500.0)
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(result.output))).transpose(2, 1, 0)
    across = "XYZ".index(axis)
    planes = [places(plane[None, None])[0].argmax(0) for plane in np.moveaxis(ct, across, 0)]
    np.testing.assert_array_equal(labels, np.stack(planes, across))
    assert set(np.unique(labels)) == {0, 1, 2}
    assert result.data["tiles"]["inferred"] == ct.shape[across]
