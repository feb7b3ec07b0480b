"""What a configuration of plans.json becomes, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from nnunet_cases import Case

from gpu_infer.errors import ConfigError
from gpu_infer.imports.nnunet.app_files import inference_configuration
from gpu_infer.imports.nnunet.configuration import Configuration, read_configuration
from gpu_infer.imports.nnunet.fields import Fields
from gpu_infer.imports.nnunet.labels import read_labels
from gpu_infer.imports.nnunet.normalization import normalization


def plans_of(case: Case) -> Fields:
    return Fields(Path("plans.json"), case.plans())


def read(case: Case) -> Configuration:
    return read_configuration(plans_of(case), case.configuration)


def content_of(case: Case, **changes: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "channels": case.channels,
        "file_ending": ".nii.gz",
        "mirroring": case.mirroring or (),
        "normalization": normalization(plans_of(case), read(case)),
        "postprocessing": [],
    }
    labels = read_labels(Fields(Path("dataset.json"), case.dataset()))
    return inference_configuration("m", read(case), labels, **arguments | changes)


def args_of(content: dict[str, Any], name: str) -> dict[str, Any]:
    (args,) = (c["args"] for c in (*content["pre_transforms"], *content["post_transforms"]) if c["name"] == name)
    return dict(args)


def test_axes_are_those_of_the_file() -> None:
    content = content_of(Case("m", patch=(8, 20, 24), spacing=(3.0, 1.0, 0.5), mirroring=(0,)))
    assert args_of(content, "LoadNifti") == {"fields": "image", "as_closest_canonical": False}
    assert args_of(content, "ScaleAsNnunet")["target_spacing"] == [0.5, 1.0, 3.0]
    windows = content["inferer"]["args"]
    assert (windows["roi_size"], windows["axes"], windows["mirror_axes"]) == ([24, 20, 8], "ZYX", [2])
    assert "slice_axis" not in windows


def test_transposed_axes() -> None:
    # the tensor's axes are [Y, X, Z] of the file
    case = Case("m", transpose=(1, 2, 0), patch=(8, 20, 24), spacing=(3.0, 1.0, 0.5), mirroring=(0, 2))
    content = content_of(case)
    assert args_of(content, "ScaleAsNnunet")["target_spacing"] == [1.0, 3.0, 0.5]
    windows = content["inferer"]["args"]
    assert (windows["roi_size"], windows["axes"], windows["mirror_axes"]) == ([20, 8, 24], "YXZ", [1, 2])


def test_slices_keep_the_spacing_across_them() -> None:
    case = Case("m", configuration="2d", transpose=(2, 0, 1), patch=(20, 24), spacing=(3.0, 0.5), mirroring=(0, 1))
    content = content_of(case)
    assert args_of(content, "ScaleAsNnunet")["target_spacing"] == [None, 0.5, 3.0]
    windows = content["inferer"]["args"]
    assert windows["roi_size"] == [1, 24, 20]
    assert (windows["axes"], windows["slice_axis"], windows["mirror_axes"]) == ("XZY", "X", [1, 2])


def test_channels_come_from_files() -> None:
    content = content_of(Case("m", schemes=("ZScoreNormalization",) * 2, masked=(True, True)))
    assert args_of(content, "LoadNifti")["files"] == ["*_0000.nii.gz", "*_0001.nii.gz"]
    assert args_of(content, "NormalizeIntensity") == {"fields": "image", "use_mask_for_norm": True}


def test_channels_of_different_schemes() -> None:
    schemes = ("CTNormalization", "ZScoreNormalization", "ZScoreNormalization", "NoNormalization")
    content = content_of(Case("m", schemes=schemes, masked=(True, True, False, True)))
    assert args_of(content, "NormalizeAsNnunet") == {
        "fields": "image",
        "schemes": ["ct", "masked_zscore", "zscore", "none"],
        "foreground": [[-150.0, 220.0, 40.0, 90.0], None, None, None],
    }


def test_regions() -> None:
    content = content_of(Case("m", regions=True))
    assert args_of(content, "MergeMasks")["labels"] == [1, 2, 3]
    names = [component["name"] for component in content["post_transforms"]]
    assert names == ["RestoreOriginalShape", "ThresholdAcrossChannels", "MergeMasks"]


def test_a_reader_that_turns_axes() -> None:
    assert args_of(content_of(Case("m", reader="NibabelIOWithReorient")), "LoadNifti")["as_closest_canonical"] is True


def test_inherited_keys() -> None:
    plans = Case("m").plans()
    plans["configurations"]["child"] = {"inherits_from": "3d_fullres", "spacing": [2.0, 2.0, 2.0]}
    configuration = read_configuration(Fields(Path("plans.json"), plans), "child")
    assert (configuration.spacing, configuration.patch) == ((2.0, 2.0, 2.0), (24, 24, 24))


PROBABILITIES = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
REFUSED: list[tuple[dict[str, Any], str]] = [
    (
        {"image_reader_writer": "NaturalImage2DIO"},
        'found "NaturalImage2DIO", expected one of SimpleITKIO',
    ),
    ({"transpose_forward": [0, 0, 2]}, "transpose_forward: found .*, expected an order of 0, 1 and 2"),
    ({"transpose_forward": [1, 2, 0]}, "transpose_backward: found .*, expected the inverse"),
    ({"label_manager": "Mine"}, "expected LabelManager"),
]
REFUSED_KEYS: list[tuple[dict[str, Any], str]] = [
    ({"previous_stage": "3d_lowres"}, "a cascade's second stage"),
    ({"preprocessor_name": "Mine"}, 'preprocessor_name: found "Mine", expected DefaultPreprocessor'),
    ({"resampling_fn_data": "resample_torch"}, "expected resample_data_or_seg_to_shape"),
    ({"resampling_fn_data_kwargs": {"order": 2}}, "expected 0 or 1 or 3"),
    ({"resampling_fn_data_kwargs": {"order_z": 1}}, "order_z: found 1, expected 0"),
    ({"resampling_fn_probabilities_kwargs": PROBABILITIES}, "order: found 3, expected 1"),
    ({"resampling_fn_data_kwargs": {"separate_z_anisotropy_threshold": 5}}, "the threshold of resampling_fn_data"),
    ({"spacing": [1.0, 1.0]}, "spacing: found .*, expected 3 numbers"),
    ({"patch_size": [8]}, "patch_size: found .*, expected 2 or 3 positive numbers"),
    ({"use_mask_for_norm": ["yes"]}, "expected true or false for each channel"),
]


@pytest.mark.parametrize(("change", "message"), REFUSED)
def test_refused_plans(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(Case("m", extra_plans=change))


@pytest.mark.parametrize(("change", "message"), REFUSED_KEYS)
def test_refused_configurations(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(Case("m", extra_configuration=change))


def test_refused_normalisation() -> None:
    case = Case("m", schemes=("MyNormalization",))
    with pytest.raises(ConfigError, match="channel 0 has the normalisation MyNormalization, expected one of CTNorm"):
        normalization(plans_of(case), read(case))


def test_an_unknown_configuration_names_those_that_exist() -> None:
    with pytest.raises(ConfigError, match=r"has no configuration '2d'.*3d_fullres"):
        read_configuration(plans_of(Case("m")), "2d")
