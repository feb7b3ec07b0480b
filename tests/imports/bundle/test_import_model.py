"""What a bundle becomes: configuration, names of labels, repository entry and notes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bundle_cases import CASES, COMPONENTS, CT, LINEAR, MASKS, REGIONS, SLICES, WHOLE_BODY, BundleCase
from onnx import TensorProto, helper
from onnx import load as load_onnx
from onnx import save as save_onnx
from onnx_files import channels_model

from gpu_infer.config.load import load_config
from gpu_infer.errors import ConfigError
from gpu_infer.imports.bundle.import_model import Imported, Options, import_bundle


def imported(case: BundleCase, place: Path, **options: Any) -> tuple[Imported, dict[str, Any]]:
    """The result, and the configuration that is written."""
    folder = case.write(place)
    channels_model(folder / "models" / "model.onnx", case.channels, case.classes, case.spatial)
    result = import_bundle(folder, place / "models", place / "app", Options(**options))
    return result, json.loads((place / "app" / "config_inference.json").read_text(encoding="utf-8"))


def test_a_ct_bundle_is_carried_over_with_all_its_numbers(tmp_path: Path) -> None:
    result, content = imported(CT, tmp_path)
    image = {"fields": "image"}
    spacing = {"target_resolution": [1.5, 1.5, 2.0], "placement": "monai", "interpolation": "linear"}
    window = {"a_min": -160, "a_max": 240, "b_min": 0, "b_max": 1, "clip": True}
    assert content == {
        "pre_transforms": [
            {"name": "LoadNifti", "args": image | {"as_closest_canonical": True}},
            {"name": "ConvertToChannelsFirst", "args": image},
            {"name": "ScaleByResolution", "args": image | spacing},
            {"name": "ScaleIntensityRange", "args": image | window},
        ],
        "post_transforms": [
            {"name": "Softmax", "args": {"fields": "model"}},
            {"name": "RestoreOriginalShape", "args": {"field": "model", "src_field": "image", "is_label": False}},
            {"name": "ArgmaxAcrossChannels", "args": {"fields": "model"}},
        ],
        "writers": [{"name": "WriteNifti", "args": {"field": "model", "dtype": "uint8", "format": "nii.gz"}}],
        "inferer": {
            "name": "TRTISScanWindowInferer",
            "args": {
                "model_name": "ct",
                "mode": "monai",
                "roi_size": [20, 24, 16],
                "overlap": 0.5,
                "blend": "constant",
                "padding_mode": "constant",
                "cval": 0.0,
            },
        },
    }
    labels = json.loads((tmp_path / "app" / "labels.json").read_text(encoding="utf-8"))
    assert labels == {"0": "background", "1": "organ 1", "2": "organ 2"}
    assert (result.entry.folder, result.notes) == (tmp_path / "models" / "ct", [])
    assert (tmp_path / "models" / "ct" / "1" / "model.onnx").is_file()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_written_is_a_valid_configuration(case: BundleCase, tmp_path: Path) -> None:
    imported(case, tmp_path)
    load_config(tmp_path / "app" / "config_inference.json", {})


def test_expressions_and_references_become_numbers(tmp_path: Path) -> None:
    _, content = imported(WHOLE_BODY, tmp_path)
    assert content["pre_transforms"][2]["args"]["target_resolution"] == [1.55, 1.45, 1.6]
    args = content["inferer"]["args"]
    assert (args["overlap"], args["blend"], args["sigma_scale"]) == (0.25, "gaussian", 0.125)
    assert args["padding_mode"] == "replicate"
    assert "cval" not in args


def test_slices_are_across_the_axis_of_the_bundle(tmp_path: Path) -> None:
    _, content = imported(SLICES, tmp_path)
    args = content["inferer"]["args"]
    assert (args["roi_size"], args["slice_axis"]) == ([32, 48], "Z")
    assert content["pre_transforms"][0]["args"]["as_closest_canonical"] is False


def test_regions_become_one_label_map_in_the_order_of_the_bundle(tmp_path: Path) -> None:
    result, content = imported(REGIONS, tmp_path, files=("*_a.nii.gz", "*_b.nii.gz", "*_c.nii.gz", "*_d.nii.gz"))
    names = [item["name"] for item in content["post_transforms"]]
    assert names == ["Sigmoid", "RestoreOriginalShape", "ThresholdAcrossChannels", "MergeMasks"]
    assert content["post_transforms"][-1]["args"] == {"fields": "model", "labels": [1, 2, 4], "order": [1, 0, 2]}
    threshold = content["post_transforms"][2]["args"]["threshold"]
    assert 0.5 - 6e-8 <= threshold < 0.5  # MONAI's ≥ 0.5 is > of the float32 below
    assert len(content["pre_transforms"][0]["args"]["files"]) == 4
    labels = json.loads((tmp_path / "app" / "labels.json").read_text(encoding="utf-8"))
    assert labels == {"0": "background", "1": "background", "2": "organ 1", "4": "organ 2"}
    assert result.notes == []


def test_channels_without_files_are_noted(tmp_path: Path) -> None:
    result, _ = imported(REGIONS, tmp_path)
    assert result.notes == ["the input has 4 channels: give one file with all of them, or import with --files"]


def test_masks_that_overlap_have_a_file_each(tmp_path: Path) -> None:
    result, content = imported(MASKS, tmp_path)
    names = ["background", "organ_1", "organ_2"]
    assert content["post_transforms"][-1]["args"] == {"field": "model", "channel_names": names}
    assert [writer["args"]["field"] for writer in content["writers"]] == names
    assert not (tmp_path / "app" / "labels.json").exists()
    assert result.notes == ["each channel of the output is a mask in a file of its own: background, organ_1, organ_2"]


def test_labels_are_never_interpolated_but_restored_nearest_on_request(tmp_path: Path) -> None:
    case = BundleCase("linear", COMPONENTS.pre, [*COMPONENTS.post[:2], LINEAR])
    with pytest.raises(ConfigError, match=r"transforms::2: Invertd: nearest_interp false .*give --nearest-labels"):
        imported(case, tmp_path / "a")
    _, content = imported(case, tmp_path / "b", nearest_labels=True)
    assert content["post_transforms"][-1]["args"]["is_label"] is True


def test_a_missing_network_names_the_command_that_exports_it(tmp_path: Path) -> None:
    folder = CT.write(tmp_path)
    with pytest.raises(ConfigError, match=r"models: there is no ONNX file, .*monai.bundle onnx_export network_def"):
        import_bundle(folder, tmp_path / "models", tmp_path / "app", Options())
    assert not (tmp_path / "app").exists()
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    ("inputs", "classes", "spatial", "message"),
    [
        (1, 4, 3, r"scores has 4 channels, num_channels of pred in metadata.json is 3"),
        (1, 3, 2, r"image has dims \[-1, 1, -1, -1\], expected batch, channels and 3 spatial axes"),
    ],
)
def test_a_network_that_does_not_fit_is_refused(
    inputs: int, classes: int, spatial: int, message: str, tmp_path: Path
) -> None:
    folder = CT.write(tmp_path)
    onnx = channels_model(tmp_path / "other.onnx", inputs, classes, spatial)
    with pytest.raises(ConfigError, match=message):
        import_bundle(folder, tmp_path / "models", tmp_path / "app", Options(onnx=onnx))


def test_a_network_with_two_outputs_is_refused(tmp_path: Path) -> None:
    folder = CT.write(tmp_path)
    graph = load_onnx(channels_model(tmp_path / "two.onnx", 1, 3, 3))
    graph.graph.node.append(helper.make_node("Abs", ["scores"], ["deep"]))
    graph.graph.output.append(helper.make_tensor_value_info("deep", TensorProto.FLOAT, ("N", 3, "X", "Y", "Z")))
    save_onnx(graph, tmp_path / "two.onnx")
    with pytest.raises(ConfigError, match=r"two\.onnx: found the outputs scores, deep, expected one .*export the net"):
        import_bundle(folder, tmp_path / "models", tmp_path / "app", Options(onnx=tmp_path / "two.onnx"))
    assert not (tmp_path / "models").exists()


def test_an_axis_without_a_target_stays(tmp_path: Path) -> None:
    """As MONAI takes numbers of pixdim that are not positive."""
    pre = [{**step, "pixdim": [1.5, -1, 2]} if step["_target_"] == "Spacingd" else step for step in CT.pre]
    _, content = imported(BundleCase("axis", pre, CT.post), tmp_path)
    assert content["pre_transforms"][2]["args"]["target_resolution"] == [1.5, None, 2]


def test_several_configuration_files_are_merged(tmp_path: Path) -> None:
    folder = CT.write(tmp_path)
    channels_model(folder / "models" / "model.onnx", 1, 3, 3)
    second = folder / "configs" / "second.yaml"
    second.write_text("+inferer: {overlap: 0.75}\nkey: volume\n", encoding="utf-8")
    configs = (Path("configs/inference.json"), second)
    import_bundle(folder, tmp_path / "models", tmp_path / "app", Options(configs=configs))
    content = json.loads((tmp_path / "app" / "config_inference.json").read_text(encoding="utf-8"))
    assert (content["inferer"]["args"]["overlap"], content["inferer"]["args"]["roi_size"]) == (0.75, [20, 24, 16])
    assert content["pre_transforms"][0]["args"]["fields"] == "volume"
