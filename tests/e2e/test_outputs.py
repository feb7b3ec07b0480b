"""Models with one channel, several label maps, channels from several files, grids that voxels decide."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from label_files import labels_in
from operator_helpers import config, operate, write_nifti
from scipy import special

from gpu_infer.errors import ConfigError, InputError

pytestmark = pytest.mark.slow

AFFINE = np.diag([-0.9, 1.3, 2.5, 1.0])


def chain(model: str, pre: list[Any], post: list[Any], writers: list[tuple[str, str]]) -> dict[str, Any]:
    content = config(model, roi_size=[8, 8, 8])
    content["pre_transforms"] += [{"name": n, "args": {"fields": "image", **args}} for n, args in pre]
    content["post_transforms"] = [{"name": n, "args": args} for n, args in post]
    content["writers"] = [{"name": "WriteNifti", "args": {"field": f, "dtype": d}} for f, d in writers]
    return content


@pytest.mark.parametrize("slab", [True, False])
def test_one_channel_cropped_to_its_object(tmp_path: Path, triton_server: Any, slab: bool) -> None:
    data = np.zeros((21, 17, 13), np.float32)
    data[3:13, 4:15, 2:9] = np.random.default_rng(1).random((10, 11, 7), dtype=np.float32)
    data[3, 4, 2] = data[12, 14, 8] = 0.9
    data[18, 15, 11] = 0.4  # belongs to the object, and stays below the threshold
    write_nifti(tmp_path / "input/case.nii.gz", data, AFFINE)
    content = chain(
        "one_channel",
        [("CropForegroundObject", {"pad": 1}), ("SymmetricPadderDiv", {"div_int": 4})],
        [
            ("ThresholdValues", {"fields": "model", "threshold": 0.5}),
            ("RestoreOriginalShape", {"field": "model", "src_field": "image"}),
            ("FetchExtremePoints", {"image_field": "image", "label_field": "model"}),
        ],
        [("model", "uint8")],
    )
    result = operate(tmp_path, triton_server, content, slab=slab)
    assert result.output.name == "case.mhd"
    np.testing.assert_array_equal(labels_in(result.output), data > 0.5)
    assert result.data["tiles"]["grid"] == [20, 16, 12]  # 18, 14, 12 with the pad of 1
    ends = {p["end"]: p["index"] for p in result.data["points"]["points"]}
    assert (ends["x_max"][0], ends["x_min"][0]) == (3, 12)  # the file's first axis runs to the left
    assert [o["field"] for o in result.data["outputs"]] == ["model"]


def test_three_files_in_two_label_maps_out(tmp_path: Path, triton_server: Any) -> None:
    rng = np.random.default_rng(2)
    channels = {name: rng.random((9, 10, 11), dtype=np.float32) for name in ("t1", "t1ce", "t2")}
    for name, data in channels.items():
        write_nifti(tmp_path / f"input/case_{name}.nii.gz", data, AFFINE)
    content = chain(
        "three_channels",
        [],
        [
            ("ThresholdAcrossChannels", {"fields": "model", "threshold": [0.2, 0.5, 0.8]}),
            ("SplitAcrossChannels", {"field": "model", "channel_names": ["a", "b", "c"]}),
        ],
        [("c", "uint8"), ("a", "int16")],
    )
    content["pre_transforms"][0]["args"]["files"] = ["*_t1.nii.gz", "*_t1ce.nii.gz", "*_t2.nii.gz"]
    result = operate(tmp_path, triton_server, content, publish=tmp_path / "publish")
    written = sorted(p.name for p in (tmp_path / "output").iterdir())
    assert written == [f"case_t1.{f}.{e}" for f in "ac" for e in ("mhd", "raw")]
    np.testing.assert_array_equal(labels_in(tmp_path / "output/case_t1.c.mhd"), channels["t2"] > 0.8)
    np.testing.assert_array_equal(labels_in(tmp_path / "output/case_t1.a.mhd"), channels["t1"] > 0.2)
    assert sitk.ReadImage(str(tmp_path / "output/case_t1.a.mhd")).GetPixelID() == sitk.sitkInt16
    assert result.data["output"]["mhd"].endswith("case_t1.c.mhd")
    assert [(o["field"], o["dtype"]) for o in result.data["outputs"]] == [("c", "uint8"), ("a", "int16")]
    assert result.data["outputs"][1]["labels"]["1"]["voxels"] == int((channels["t1"] > np.float32(0.2)).sum())
    meta = json.loads((tmp_path / "publish/config.meta").read_text())
    assert meta["seg_masks"] == ["case_t1.c.out.mhd", "case_t1.a.out.mhd"]
    np.testing.assert_array_equal(labels_in(tmp_path / "publish/case_t1.a.out.mhd"), channels["t1"] > 0.2)


def test_logits_of_one_channel(tmp_path: Path, triton_server: Any) -> None:
    logits = np.random.default_rng(4).normal(scale=3, size=(21, 17, 13)).astype(np.float32)
    write_nifti(tmp_path / "input/case.nii.gz", logits, AFFINE)
    sigmoid = ("ThresholdValues", {"fields": "model", "threshold": 0.7, "sigmoid": True})
    result = operate(tmp_path, triton_server, chain("one_channel", [], [sigmoid], [("model", "uint8")]))
    np.testing.assert_array_equal(labels_in(result.output), special.expit(logits.astype(np.float64)) > 0.7)
    plan = [line for line in result.data["plan"]["stages"] if "inference" in line]
    assert plan == [
        "2. inference: image -> model, ThresholdValues(sigmoid=true, threshold=0.7) by the accumulator, row by row"
    ]


def test_a_missing_channel_is_named(tmp_path: Path, triton_server: Any) -> None:
    write_nifti(tmp_path / "input/case_t1.nii.gz", np.zeros((4, 4, 4), np.float32), AFFINE)
    content = config("three_channels", roi_size=[8, 8, 8])
    content["pre_transforms"][0]["args"]["files"] = ["*_t1.nii.gz", "*_t2.nii.gz"]
    with pytest.raises(InputError, match=r"expected one file \*_t2.nii.gz, found none \(volumes"):
        operate(tmp_path, triton_server, content)
    assert not list((tmp_path / "output").iterdir())


def test_channels_that_do_not_fit_the_model_are_refused_before_the_inference(
    tmp_path: Path, triton_server: Any
) -> None:
    write_nifti(tmp_path / "input/case.nii.gz", np.zeros((4, 4, 4), np.float32), AFFINE)
    threshold = ("ThresholdValues", {"fields": "model", "threshold": 0.5})
    content = chain("threshold_half", [], [threshold], [("model", "uint8")])
    with pytest.raises(ConfigError, match="leave 2 channels in 'model', expected 1"):
        operate(tmp_path, triton_server, content)
    assert not list((tmp_path / "output").iterdir())


@pytest.mark.parametrize("is_label", [True, False])
@pytest.mark.parametrize("mode", ["clara", "nnunet"])
def test_probabilities_leave_labels_as_they_are(tmp_path: Path, triton_server: Any, is_label: bool, mode: str) -> None:
    """With nearest and with linear restoring; `classes5` answers −|x − n| for class n."""
    data = (np.indices((19, 17, 13)).sum(axis=0) // 10).astype(np.int16)
    write_nifti(tmp_path / "input/case.nii.gz", data, AFFINE)
    argmax = ("ArgmaxAcrossChannels", {"fields": "model"})
    restore = ("RestoreOriginalShape", {"field": "model", "src_field": "image", "is_label": is_label})
    content = chain(
        "classes5",
        [("ScaleByResolution", {"target_resolution": [1.1, 1.0, 2.0]})],
        [argmax, restore] if is_label else [restore, argmax],
        [("model", "uint8")],
    )
    without = labels_in(operate(tmp_path, triton_server, content, mode=mode).output)
    options = {"scores": "all", "uncertainty": True, "scores_activation": "softmax", "scores_dtype": "float32"}
    result = operate(tmp_path, triton_server, content, mode=mode, **options)
    np.testing.assert_array_equal(labels_in(result.output), without)
    names = [*(f"case.{n}.score.nii.gz" for n in range(5)), "case.uncertainty.nii.gz"]
    assert [path.name for path in result.scores] == names
    *classes, uncertainty = (nib.load(path).get_fdata() for path in result.scores)
    np.testing.assert_allclose(sum(classes), 1, atol=1e-6)
    assert 0 < uncertainty.min() <= uncertainty.max() < 1
    agreement = np.mean(np.argmax(classes, axis=0) == without)
    assert agreement > 0.8


def test_the_probability_of_a_mask(tmp_path: Path, triton_server: Any) -> None:
    data = np.random.default_rng(2).normal(size=(21, 17, 13)).astype(np.float32)
    write_nifti(tmp_path / "input/case.nii.gz", data, AFFINE)
    threshold = ("ThresholdValues", {"fields": "model", "threshold": 0.25, "sigmoid": True})
    content = chain("one_channel", [], [threshold], [("model", "uint8")])
    result = operate(tmp_path, triton_server, content, scores="1", scores_dtype="float32", uncertainty=True)
    p = special.expit(data.astype(np.float64))
    np.testing.assert_array_equal(labels_in(result.output), p > 0.25)
    probability, uncertainty = (nib.load(path).get_fdata() for path in result.scores)
    np.testing.assert_allclose(probability, p, atol=1e-6)
    np.testing.assert_allclose(uncertainty, special.entr(p) / np.log(2) + special.entr(1 - p) / np.log(2), atol=2e-6)


def test_a_label_map_stays_if_its_scores_are_no_probabilities(tmp_path: Path, triton_server: Any) -> None:
    data = np.random.default_rng(2).integers(0, 5, (9, 8, 7)).astype(np.int16)
    write_nifti(tmp_path / "input/case.nii.gz", data, AFFINE)
    with pytest.raises(ConfigError, match="found scores below 0 or above 1 at 504 of 504 voxels"):
        operate(tmp_path, triton_server, config("classes5", roi_size=[8, 8, 8]), scores="2")
    assert sorted(path.name for path in (tmp_path / "output").iterdir()) == ["case.mhd", "case.raw"]
    np.testing.assert_array_equal(labels_in(tmp_path / "output/case.mhd"), data)
    report = json.loads((tmp_path / "logs/report.json").read_text())
    assert report["status"] == "failed"
    assert "scores" not in report
