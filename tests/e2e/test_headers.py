"""What a volume's header decides: memory before voxels, the files that are read, and NaN that the file brings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from operator_helpers import config, operate, write_nifti

from gpu_infer.errors import InputError, ResourceError
from gpu_infer.planning import free_memory

pytestmark = pytest.mark.slow

AFFINE = np.diag([-1.0, -1.0, 1.0, 1.0])


def with_nan(root: Path) -> np.ndarray:
    """A volume with a corner of NaN and one infinite voxel, as a segmentation's background is written by some tools."""
    data = np.random.default_rng(5).random((12, 11, 10)).astype(np.float32)
    data[:3, :3, :3] = np.nan
    data[8, 8, 8] = np.inf
    write_nifti(root / "input/case.nii.gz", data, AFFINE)
    return data


def labels(result: Any) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(result.output)).T


def content(resolution: tuple[float, ...] | None = None, **load: Any) -> dict[str, Any]:
    chosen = config("threshold_half", roi_size=[8, 8, 8], resolution=resolution)
    chosen["pre_transforms"][0]["args"] |= load
    return chosen


def test_nan_that_the_model_does_not_spread_is_background(tmp_path: Path, triton_server: Any) -> None:
    data = with_nan(tmp_path)
    result = operate(tmp_path, triton_server, content())
    np.testing.assert_array_equal(labels(result), data > 0.5)
    warnings = result.data["warnings"]
    assert any("28 of 1320 voxels are NaN or infinite" in w for w in warnings)
    assert any("these become background" in w for w in warnings)


def test_nan_that_spreads_blames_the_file(tmp_path: Path, triton_server: Any) -> None:
    with_nan(tmp_path)
    with pytest.raises(InputError, match=r'case\.nii\.gz: 28 voxels are NaN or infinite.*"nan": 0'):
        operate(tmp_path, triton_server, content(resolution=(0.5, 0.5, 0.5)))
    assert not list((tmp_path / "output").iterdir())


@pytest.mark.parametrize("value", [0, "1"])
def test_a_value_for_nan(tmp_path: Path, triton_server: Any, value: Any) -> None:
    data = with_nan(tmp_path)
    result = operate(tmp_path, triton_server, content(nan=value))
    data[~np.isfinite(data)] = float(value)
    np.testing.assert_array_equal(labels(result), data > 0.5)
    assert any("28 of 1320 voxels are NaN or infinite: replaced by" in w for w in result.data["warnings"])


def test_data_files_elsewhere_need_the_option_and_are_named(tmp_path: Path, triton_server: Any) -> None:
    data = np.random.default_rng(5).random((10, 11, 12)).astype(np.float32)
    (tmp_path / "input").mkdir()
    (tmp_path / "store").mkdir()
    data.tofile(tmp_path / "store/scan.raw")
    (tmp_path / "input/case.mhd").write_text(
        "NDims = 3\nDimSize = 12 11 10\nElementSpacing = 1 1 1\nTransformMatrix = 1 0 0 0 1 0 0 0 1\n"
        "ElementType = MET_FLOAT\nElementDataFile = ../store/scan.raw\n"
    )
    with pytest.raises(InputError, match="--allow-foreign-data-files"):
        operate(tmp_path, triton_server, content())
    result = operate(tmp_path, triton_server, content(), allow_foreign_data_files=True)
    np.testing.assert_array_equal(labels(result), data.T > 0.5)
    files = [Path(name) for name in result.data["input"]["files"]]
    assert files == [tmp_path / "input/case.mhd", tmp_path / "input/../store/scan.raw"]


def test_a_plan_without_memory_reads_no_voxel(
    tmp_path: Path, triton_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_nan(tmp_path)

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("voxels were read")

    monkeypatch.setattr("gpu_infer.session.one_case.read_voxels", refuse)
    monkeypatch.setattr(free_memory, "resident_bytes", lambda: 0)
    monkeypatch.setattr("gpu_infer.backends.cpu.backend.CpuBackend.free_bytes", lambda _: 1 << 20)
    with pytest.raises(ResourceError, match="peak"):
        operate(tmp_path, triton_server, content())


def test_a_volume_larger_than_the_memory_limit_is_refused(
    tmp_path: Path, triton_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_nan(tmp_path)
    monkeypatch.setattr(free_memory, "free_host_bytes", lambda: 5000)
    with pytest.raises(ResourceError, match=r"case\.nii\.gz: its voxels take 0\.0 MiB, 0\.0 MiB of memory are free"):
        operate(tmp_path, triton_server, content())
