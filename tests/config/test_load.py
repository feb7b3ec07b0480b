"""Configurations that are read: the packaged one, files in the style of real ones, and every permitted form."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from config_files import LUNG, PACKAGED, component, load, lung, pre
from own_components import Times

from gpu_infer.config.load import load_config
from gpu_infer.transforms.intensity.scale_intensity_range import ScaleIntensityRange
from gpu_infer.transforms.io.load_nifti import LoadNifti


def test_the_packaged_configuration() -> None:
    config = load_config(PACKAGED, {})
    assert [t.label for t in config.pre] == [
        "LoadNifti",
        "ConvertToChannelsFirst",
        "ScaleByResolution",
        "ScaleIntensityRange",
    ]
    assert [t.label for t in config.post] == ["ArgmaxAcrossChannels", "CopyProperties", "RestoreOriginalShape"]
    assert config.pre[2].args.target_resolution == (0.8, 0.8, 5.0)
    assert config.pre[3].args.model_dump() == {
        "fields": ("image",),
        "a_min": -1500.0,
        "a_max": 500.0,
        "b_min": 0.0,
        "b_max": 1.0,
        "clip": True,
    }
    inferer = config.inferer
    assert (inferer.name, inferer.kind, inferer.mode) == ("TRTISScanWindowInferer", "scan", "clara")
    assert (inferer.model_name, inferer.model_version) == ("segmentation_ct_lung_v1", None)
    assert (inferer.address, inferer.protocol) == ("localhost:8000", "http")
    assert (inferer.roi_size, inferer.batch_size, inferer.slots) == (None, None, None)
    assert (config.output_dtype, config.extra, config.warnings) == (np.uint8, {}, ())
    assert config.path == PACKAGED


VALIDATION_STYLE = """
{
  "batch_size": 1,
  "use_scanning_window": true,
  "use_amp": false,
  "multi_gpu": false,
  "pre_transforms": [
    {"name": "LoadNifti#load", "args": {"fields": ["image"], "as_closest_canonical": "true"}},
    {"name": "ConvertToChannelsFirst", "args": {"fields": ["image"]}},
    {"name": "ScaleByResolution", "args": {"fields": ["image"], "target_resolution": [1.0, 1.0, 1.0]}},
    {"name": "ScaleIntensityRange#ct", "args": {"fields": "image", "a_min": -57, "a_max": "{A_MAX}",
      "b_min": 0.0, "b_max": 1.0, "clip": "True"}},
    {"name": "RandomSpatialFlip", "disabled": true, "args": {"fields": ["image"]}},
    {"name": "NoSuchThing", "disabled": "true", "args": {"x": "{UNDEFINED}"}}
  ],
  "post_transforms": [
    {"name": "RestoreOriginalShape", "args": {"field": "model", "src_field": "image", "is_label": false}},
    {"name": "ArgmaxAcrossChannels", "args": {"fields": "model"}},
    {"name": "CopyProperties", "args": {"fields": ["model"], "from_field": "image",
      "properties": ["affine", "original_affine", "as_canonical", "spacing", "original_shape"]}}
  ],
  "label_transforms": [{"ref": "load"}, {"name": "RandomZoom"}],
  "val_metrics": [{"name": "ComputeAverageDice", "args": {"field": "{MMAR_EVAL}"}}],
  "writers": [
    {"name": "WriteNifti", "args": {"field": "model", "dtype": "uint16", "write_path": "{MMAR_EVAL}"}}
  ],
  "inferer": {
    "name": "TFScanWindowInferer",
    "args": {"roi_size": [160, 160, 160], "batch_size": "2", "model_name": "{MODEL}"}
  },
  "model_loader": {
    "name": "FrozenGraphModelLoader", "args": {"model_file_path": "{MMAR_CKPT_DIR}/model.trt.pb"}
  }
}
"""


def test_a_file_in_the_style_of_a_validation_configuration(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        config = load(tmp_path, VALIDATION_STYLE, {"A_MAX": "164", "MODEL": "segmentation_ct_liver_v1"})
    assert [t.label for t in config.pre] == [
        "LoadNifti",
        "ConvertToChannelsFirst",
        "ScaleByResolution",
        "ScaleIntensityRange",
    ]
    assert config.pre[0].args.as_closest_canonical is True
    assert (config.pre[3].args.a_max, config.pre[3].args.clip) == (164.0, True)
    assert config.inferer.model_name == "segmentation_ct_liver_v1"
    assert (config.inferer.roi_size, config.inferer.batch_size) == ((160, 160, 160), 2)
    assert config.output_dtype == np.uint16
    assert set(config.extra) == {
        "use_scanning_window",
        "use_amp",
        "multi_gpu",
        "label_transforms",
        "val_metrics",
    }
    assert config.extra["label_transforms"][0] == {"ref": "load"}
    assert config.model_loader["args"]["model_file_path"] == "{MMAR_CKPT_DIR}/model.trt.pb"
    assert "the key 'val_metrics' has no effect in inference" in caplog.text
    assert "writers[0].args.write_path has no effect" in caplog.text


ANNOTATION_STYLE = """
{
  "version": "3",
  "type": "segmentation",
  "labels": ["spleen"],
  "description": "A pre-trained model for volumetric (3D) segmentation of the spleen from CT image",
  "pre_transforms": [
    {"name": "LoadNifti", "args": {"fields": "image", "as_closest_canonical": "false"}},
    {"name": "ConvertToChannelsFirst", "args": {"fields": "image"}},
    {"name": "ScaleIntensityRange",
     "args": {"fields": "image", "a_min": -57, "a_max": 164, "b_min": 0.0, "b_max": 1.0, "clip": true}}
  ],
  "inference": {
    "image": "image",
    "name": "TRTISInference",
    "args": {"batch_size": 1, "roi": [160, 160, 160], "scanning_window": true},
    "node_mapping": {"NV_MODEL_INPUT": "image", "NV_MODEL_OUTPUT": "model"},
    "trtis": {"platform": "tensorflow_graphdef", "max_batch_size": 1,
      "input": [{"name": "NV_MODEL_INPUT", "data_type": "TYPE_FP32", "dims": [1, 160, 160, 160]}],
      "output": [{"name": "NV_MODEL_OUTPUT", "data_type": "TYPE_FP32", "dims": [2, 160, 160, 160]}]}
  },
  "post_transforms": [
    {"name": "ArgmaxAcrossChannels", "args": {"fields": "model"}},
    {"name": "RestoreOriginalShape", "args": {"field": "model", "src_field": "image"}}
  ],
  "writer": {"name": "WriteNifti", "args": {"field": "model", "dtype": "uint8"}}
}
"""


def test_a_file_of_the_annotation_server(tmp_path: Path) -> None:
    config = load(tmp_path, ANNOTATION_STYLE)
    inferer = config.inferer
    assert (inferer.name, inferer.kind) == ("TRTISInference", "scan")
    assert (inferer.roi_size, inferer.batch_size) == ((160, 160, 160), 1)
    assert (inferer.input_name, inferer.output_name) == ("NV_MODEL_INPUT", "NV_MODEL_OUTPUT")
    assert inferer.model_name is None
    assert config.pre[0].args.as_closest_canonical is False
    assert config.output_dtype == np.uint8
    assert config.warnings == ()
    assert set(config.extra) == {"version", "type", "description"}
    assert config.labels[1].name == "spleen"


@pytest.mark.parametrize("form", ["path", "name", "path and alias"])
def test_own_components(tmp_path: Path, form: str) -> None:
    entry = {
        "path": {"path": "own_components.Times"},
        "name": {"name": "own_components.Times"},
        "path and alias": {"name": "Double#d", "path": "own_components.Times"},
    }[form]
    chain = pre({**entry, "args": {"fields": "image", "factor": 2}})
    if form == "path and alias":
        chain.append({"ref": "d"})
    config = load(tmp_path, lung(pre_transforms=chain))
    assert all(isinstance(t, Times) and t.args.factor == 2.0 for t in config.pre[1:])


def test_a_vendors_dotted_name_means_the_built_in(tmp_path: Path) -> None:
    chain = [component("ai4med.components.transforms.load_nifti.LoadNifti", fields="image")]
    config = load(tmp_path, lung(pre_transforms=chain))
    assert type(config.pre[0]) is LoadNifti


def test_a_reference_is_the_same_component_again(tmp_path: Path) -> None:
    args = {"fields": ["image"], "a_min": 0, "a_max": 2, "b_min": 0, "b_max": 1}
    chain = pre(component("ScaleIntensityRange#half", **args), {"ref": "half"})
    config = load(tmp_path, lung(pre_transforms=chain))
    assert isinstance(config.pre[1], ScaleIntensityRange)
    assert config.pre[2] is config.pre[1]


def test_null_arguments_count_as_not_given(tmp_path: Path) -> None:
    chain = pre(component("ScaleByResolution", fields="image", target_resolution=[1, 1, 1], interpolation=None))
    assert load(tmp_path, lung(pre_transforms=chain)).pre[1].args.interpolation is None


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"writers": [{"name": "W", "args": {"write_path": "x"}}]}, "writers[0]"),
        ({"writers": None, "writer": {"name": "W"}}, "writer"),
    ],
)
def test_a_missing_output_dtype_is_uint8_with_a_warning(tmp_path: Path, changes: dict, where: str) -> None:
    config = load(tmp_path, lung(**changes))
    assert config.output_dtype == np.uint8
    assert config.warnings == (
        f"{tmp_path}/config_inference.json: {where}.args.dtype is missing: labels are written as uint8",
    )


def test_the_hash_sees_what_has_an_effect_and_nothing_else(tmp_path: Path) -> None:
    plain = load(tmp_path, LUNG).hash()
    assert len(plain) == 64
    assert load(tmp_path, json.dumps(lung(val_metrics=[], model_loader={}), indent=7)).hash() == plain
    changed = lung()
    changed["pre_transforms"][2]["args"]["target_resolution"][2] = 5.5
    hashes = {plain, load(tmp_path, changed).hash()}
    hashes.add(load(tmp_path, lung(writers=[component("W", dtype="uint16")])).hash())
    hashes.add(load(tmp_path, lung(inferer=component("TRTISSimpleInferer", model_name="m"))).hash())
    assert len(hashes) == 4


def test_a_misspelt_argument_of_a_writer_is_a_warning(tmp_path: Path) -> None:
    config = load(tmp_path, lung(writers=[{"name": "W", "args": {"dtyp": "uint16"}}]))
    where = f"{tmp_path}/config_inference.json: writers[0].args"
    assert config.warnings == (
        f'{where}.dtyp has no effect; did you mean "dtype"?',
        f"{where}.dtype is missing: labels are written as uint8",
    )


@pytest.mark.parametrize(
    "args", [{"dtypes": "uint16"}, {"dtypes": ["uint16"]}, {"dtype": "uint16", "dtypes": "uint16"}]
)
def test_dtypes_of_a_writer_is_another_spelling_of_dtype(tmp_path: Path, args: dict) -> None:
    config = load(tmp_path, lung(writers=[{"name": "W", "args": args}]))
    assert (config.output_dtype, config.warnings) == (np.uint16, ())


def test_a_batch_of_volumes_is_a_warning(tmp_path: Path) -> None:
    assert load(tmp_path, lung(batch_size=20)).warnings == (
        f"{tmp_path}/config_inference.json: batch_size 20 has no effect: a run has one volume, and windows per request "
        "are inferer.args.batch_size",
    )
