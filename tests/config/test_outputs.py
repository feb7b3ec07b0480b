"""The fields that a configuration writes, and their dtypes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from config_files import component, load, lung, pre

from gpu_infer.config.config import Output
from gpu_infer.errors import ConfigError

BRATS: dict[str, Any] = lung(
    pre_transforms=pre(
        component("ConvertToChannelsFirst", fields="image"),
        component("NormalizeNonzeroIntensities", fields="image"),
    ),
    post_transforms=[
        component("ThresholdAcrossChannels", fields="model", threshold=0.5),
        component("SplitAcrossChannels", field="model", channel_names=["TC", "WT", "ET"]),
    ],
    writers=[
        component("WriteNifti", field="WT", dtype="uint8"),
        {"name": "WriteNifti", "disabled": True, "args": {"field": "nothing"}},
        component("WriteNifti", field="{SECOND}", dtype="int16"),
    ],
)


def test_one_output_per_writer(tmp_path: Path) -> None:
    config = load(tmp_path, BRATS, {"SECOND": "ET"})
    assert config.outputs == (Output("WT", np.dtype(np.uint8)), Output("ET", np.dtype(np.int16)))
    assert config.output_dtype == np.uint8
    assert config.warnings == ()
    pipeline = config.pipeline()
    assert pipeline.outputs == ("WT", "ET")
    assert pipeline.result_field == "model"


def test_outputs_are_part_of_the_hash(tmp_path: Path) -> None:
    first = load(tmp_path, BRATS, {"SECOND": "ET"}).hash()
    assert first != load(tmp_path, BRATS, {"SECOND": "TC"}).hash()
    assert first == load(tmp_path, BRATS, {"SECOND": "ET"}).hash()


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"writers": None}, "no writers"),
        ({"writers": []}, "no writers"),
        ({"writers": [{"name": "W", "disabled": "true"}]}, "every writer is disabled"),
        ({"writers": None, "writer": {"name": "W", "disabled": True}}, "every writer is disabled"),
    ],
)
def test_without_a_writer_the_result_is_written(tmp_path: Path, changes: dict[str, Any], cause: str) -> None:
    config = load(tmp_path, lung(**changes))
    assert config.outputs == (Output("model", np.dtype(np.uint8)),)
    assert config.warnings == (
        f'{tmp_path}/config_inference.json: {cause}: the field "model" is written as uint8 MetaImage',
    )


def test_channels_from_several_files(tmp_path: Path) -> None:
    files = ["*_t1.nii.gz", "*_t2.nii.gz"]
    document = lung(pre_transforms=[component("LoadNifti", fields="image", files=files)])
    document["pre_transforms"] += lung()["pre_transforms"][1:]
    assert load(tmp_path, document).pipeline().input_files == tuple(files)
    assert load(tmp_path, lung()).pipeline().input_files == ()


@pytest.mark.parametrize(
    ("value", "formats"),
    [
        ("nii.gz", ("nii.gz",)),
        (["seg.nrrd", "mhd", "seg.nrrd"], ("seg.nrrd", "mhd")),
        ("{KIND}", ("nrrd",)),
        (["{KIND}", "nii"], ("nrrd", "nii")),
    ],
)
def test_formats_of_a_writer(tmp_path: Path, value: Any, formats: tuple[str, ...]) -> None:
    document = lung(writers=[component("WriteNifti", field="model", dtype="uint8", format=value)])
    config = load(tmp_path, document, {"KIND": "nrrd"})
    assert config.outputs == (Output("model", np.dtype(np.uint8), formats),)  # type: ignore[arg-type]
    without = lung(writers=[component("WriteNifti", field="model", dtype="uint8")])
    assert load(tmp_path, without).outputs[0].formats == ()
    assert load(tmp_path, without).hash() != config.hash()


@pytest.mark.parametrize(
    ("value", "where"), [("dcm", ""), (["mhd", "x"], "[1]"), ([], ""), (3, ""), (None, ""), ([["mhd"]], "[0]")]
)
def test_a_format_that_is_unknown_is_refused(tmp_path: Path, value: Any, where: str) -> None:
    document = lung(writers=[{"name": "W", "args": {"field": "model", "dtype": "uint8", "format": value}}])
    words = f"writers[0].args.format{where}: expected one of mhd, mha, nii.gz, nii, nrrd, seg.nrrd"
    with pytest.raises(ConfigError, match=re.escape(words)):
        load(tmp_path, document)
