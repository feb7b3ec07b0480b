"""Labels do not depend on slots, batches, slab, control or data; every model flavour gives the same ones."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from label_files import labels_of
from operator_helpers import config, operate, write_nifti
from scipy.ndimage import zoom

pytestmark = pytest.mark.slow

AFFINE = np.diag([-0.8, -0.9, 2.0, 1.0])


@pytest.fixture
def case(tmp_path: Path) -> np.ndarray:
    data = (np.random.default_rng(11).random((41, 33, 29)) * 4).astype(np.float32)
    write_nifti(tmp_path / "input/case.nii", data, AFFINE)
    return data


def test_labels_are_the_same_for_every_choice(tmp_path: Path, triton_server: Any, case: np.ndarray) -> None:
    content = config("classes5", resolution=(1.0, 1.0, 1.5), roi_size=[16, 24, 16])
    reference = labels_of(operate(tmp_path, triton_server, content, slots=1, batch_size=1, slab=False))
    assert set(np.unique(reference)) == {0, 1, 2, 3, 4}

    # The oracle: SciPy's zoom to the target grid, the model's own formula, SciPy's zoom back.
    canonical = case[::-1, ::-1, :]
    target = [round(n * s / t) for n, s, t in zip(case.shape, (0.8, 0.9, 2.0), (1.0, 1.0, 1.5), strict=True)]
    there = zoom(canonical, [t / n for t, n in zip(target, case.shape, strict=True)], order=1, mode="nearest")
    assert there.shape == tuple(target)
    scores = np.stack([-np.abs(there - k) for k in range(5)])
    expected = zoom(
        scores.argmax(0).astype(np.uint8), [n / t for t, n in zip(target, case.shape, strict=True)], order=0
    )[::-1, ::-1, :]
    differing = np.mean(reference != expected)
    assert differing < 1e-4  # float32 against float64 at exact halves

    for slots, batch, slab in itertools.product((1, 2, 5), (1, 2, 4), (True, False)):
        got = labels_of(operate(tmp_path, triton_server, content, slots=slots, batch_size=batch, slab=slab))
        np.testing.assert_array_equal(got, reference, err_msg=f"slots={slots} batch={batch} slab={slab}")
    for control, data in itertools.product(("grpc", "http"), ("system_shm", "inline")):
        result = operate(tmp_path, triton_server, content, control=control, data=data, batch_size=2)
        np.testing.assert_array_equal(labels_of(result), reference, err_msg=f"{control} {data}")
        assert (result.data["triton"]["control"], result.data["triton"]["data"]) == (control, data)


@pytest.mark.parametrize(
    ("model", "extra"),
    [
        ("threshold_half", {"roi_size": [16, 16, 16]}),
        ("threshold_half_fp16", {"roi_size": [16, 16, 16]}),
        ("threshold_nobatch", {"roi_size": [16, 16, 16]}),
        ("dynamic_channels", {"roi_size": [16, 16, 16]}),
        ("fixed_roi", {}),
    ],
)
def test_every_model_flavour(
    tmp_path: Path, triton_server: Any, case: np.ndarray, model: str, extra: dict[str, Any]
) -> None:
    result = operate(tmp_path, triton_server, config(model, **extra))
    expected = case > 0.5 if model != "threshold_half_fp16" else case.astype(np.float16) > 0.5
    np.testing.assert_array_equal(labels_of(result), expected)


def test_channels_last_model(tmp_path: Path, triton_server: Any, case: np.ndarray) -> None:
    content = config("channels_last", roi_size=[16, 16, 16])
    content["pre_transforms"][1]["name"] = "ConvertToChannelsLast"
    np.testing.assert_array_equal(labels_of(operate(tmp_path, triton_server, content)), case > 0.5)


def test_simple_inferer_sends_the_volume_once(tmp_path: Path, triton_server: Any, case: np.ndarray) -> None:
    content = config("threshold_half")
    content["inferer"]["name"] = "TRTISSimpleInferer"
    result = operate(tmp_path, triton_server, content)
    np.testing.assert_array_equal(labels_of(result), case > 0.5)
    assert result.data["tiles"]["inferred"] == 1
    assert result.data["tiles"]["roi"] == list(case.shape)


def test_report_and_publish_folder(tmp_path: Path, triton_server: Any, case: np.ndarray) -> None:
    content = config("threshold_half", roi_size=[16, 16, 16])
    result = operate(tmp_path, triton_server, content, publish=tmp_path / "publish")

    report = json.loads((tmp_path / "logs/report.json").read_text())
    assert report["status"] == "done"
    expected = int((case > 0.5).sum())
    assert report["labels"]["1"]["voxels"] == expected
    assert report["labels"]["1"]["ml"] == pytest.approx(expected * 0.8 * 0.9 * 2.0 / 1000, abs=1e-3)
    assert report["tiles"]["inferred"] <= report["tiles"]["windows"]
    assert {"prepare", "infer", "restore", "write"} <= set(report["stages"])
    assert len(report["input"]["sha256"]) == 64

    published = {path.name for path in (tmp_path / "publish").iterdir()}
    assert {
        "case.mhd",
        "case.raw",
        "case.out.mhd",
        "case.out.raw",
        "config_render.json",
        "config.meta",
    } <= published
    meta = json.loads((tmp_path / "publish/config.meta").read_text())
    assert meta["seg_masks"] == ["case.out.mhd"]
    mask = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "publish/case.out.mhd")))
    np.testing.assert_array_equal(mask.transpose(2, 1, 0), case > 0.5)
    assert result.published
