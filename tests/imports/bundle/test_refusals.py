"""What a bundle has that is not imported ends in one line that names the place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bundle_cases import (
    ARGMAX,
    CROPPED,
    CT,
    LARGEST,
    LINEAR,
    LOAD,
    RANGE,
    RAS,
    SAVE,
    SIGMOID,
    SOFTMAX,
    SPACING,
    WINDOWS,
    BundleCase,
    Item,
)

from gpu_infer.errors import ConfigError
from gpu_infer.imports.bundle.import_model import Options, import_bundle

THRESHOLD: Item = {"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.5}
CROP: Item = CROPPED.pre[3]


def refusal(case: BundleCase, place: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        import_bundle(case.write(place), place / "models", place / "app", Options())
    assert not (place / "app").exists()
    assert not (place / "models").exists()
    text = str(caught.value)
    assert "\n" not in text
    return text.replace(str(place), "")


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (RAS | {"axcodes": "LPS"}, "Orientationd: axcodes is 'LPS', expected 'RAS'"),
        (RAS | {"keys": ["image", "label"]}, "Orientationd: keys is ['image', 'label'], expected 'image'"),
        (SPACING | {"pixdim": [1.5, 2]}, "Spacingd: pixdim is [1.5, 2], expected 3 positive numbers"),
        (SPACING | {"mode": 3}, "Spacingd: mode is 3, expected 'bilinear' or 'nearest'"),
        (SPACING | {"padding_mode": "zeros"}, "Spacingd: padding_mode is 'zeros', expected 'border'"),
        (SPACING | {"align_corners": True}, "Spacingd: align_corners is True, expected False"),
        (SPACING | {"max_pixdim": [2.0]}, "Spacingd: max_pixdim is 2.0, expected none"),
        (SPACING | {"lazy": True}, "Spacingd: lazy is True, expected False"),
        (SPACING | {"blur": 1}, "Spacingd: blur: this argument is not imported"),
        (RANGE | {"b_max": None}, "ScaleIntensityRanged: b_max is None, expected a number"),
        (RANGE | {"a_max": -160}, "ScaleIntensityRanged: a_min and a_max are both -160"),
        (RANGE | {"b_min": 2}, "ScaleIntensityRanged: b_min exceeds b_max with clip"),
        (RANGE | {"a_min": "$int('3')"}, "ScaleIntensityRanged: a_min is $int('3'), which is not run"),
        (CROP | {"allow_smaller": False}, "CropForegroundd: allow_smaller is false"),
        (CROP | {"select_fn": "$lambda x: x > 3"}, "CropForegroundd: select_fn is $lambda x: x > 3, which is not run"),
        ({"_target_": "RandFlipd", "keys": "image"}, "RandFlipd: is not imported"),
        ({"_target_": "scripts.mine.Cut", "keys": "image"}, "scripts.mine.Cut is code of the bundle, which is not run"),
        (RANGE | {"_mode_": "callable"}, "ScaleIntensityRanged: _mode_ is 'callable', expected 'default'"),
        (
            RANGE | {"_disabled_": "$not os.path.exists('x')"},
            "_disabled_ is $not os.path.exists('x'), which is not run",
        ),
        ("$monai.transforms.Flipd('image')", "$monai.transforms.Flipd('image') is code, which is not run"),
        ({"_target_": "EnsureTyped", "keys": "image", "dtype": "$torch.float16"}, "dtype is 'float16'"),
    ],
)
def test_preprocessing(item: Any, message: str, tmp_path: Path) -> None:
    text = refusal(BundleCase("a", [*LOAD, item], CT.post), tmp_path)
    assert text.startswith("/a/configs/inference.json: preprocessing::transforms::2: ")
    assert message in text


def test_a_canonical_orientation_is_expected_before_the_grid_changes(tmp_path: Path) -> None:
    text = refusal(BundleCase("a", [*LOAD, SPACING, RAS], CT.post), tmp_path)
    assert 'transforms::3: Orientationd: expected axcodes "RAS", before Spacingd and CropForegroundd' in text


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([SOFTMAX, LINEAR], "postprocessing: expected AsDiscreted, which makes labels"),
        ([SOFTMAX, ARGMAX], "postprocessing: expected Invertd: labels are always on the grid of the input"),
        ([LINEAR, SIGMOID, THRESHOLD], "1: Activationsd: expected before AsDiscreted and Invertd"),
        ([SOFTMAX | {"sigmoid": True}], "0: Activationsd: softmax and sigmoid are both true"),
        ([SIGMOID | {"other": "$torch.tanh"}], "0: Activationsd: other is $torch.tanh, which is not run"),
        ([LINEAR, LINEAR], "1: Invertd: expected once"),
        ([LINEAR | {"orig_keys": "other"}], "0: Invertd: orig_keys is 'other', expected 'image'"),
        ([LINEAR | {"transform": "@inferer"}], '0: Invertd: transform is another one than "@preprocessing"'),
        ([ARGMAX | {"to_onehot": 3}], "0: AsDiscreted: to_onehot is 3, expected none"),
        ([ARGMAX | {"threshold": 0.5}], "0: AsDiscreted: expected argmax or a threshold"),
        ([ARGMAX, ARGMAX], "1: AsDiscreted: expected once"),
        ([SAVE, ARGMAX], "0: SaveImaged: expected after AsDiscreted (run with --scores for probabilities)"),
        ([ARGMAX, SAVE, LINEAR], "2: Invertd: expected before SaveImaged"),
        (
            [{"_target_": "EnsureTyped", "keys": "pred", "dtype": "$torch.uint8"}],
            "dtype is 'uint8', expected 'float32'",
        ),
        ([LARGEST], "0: KeepLargestConnectedComponentd: expected after AsDiscreted, on one label map"),
        ([THRESHOLD, LARGEST], "1: KeepLargestConnectedComponentd: expected after AsDiscreted, on one label map"),
        ([ARGMAX, LARGEST | {"num_components": 2}], "1: KeepLargestConnectedComponentd: num_components is 2"),
        ([ARGMAX, LARGEST | {"applied_labels": [0, 1]}], "applied_labels is [0, 1], expected labels from 1 on"),
        ([{"_target_": "Lambdad", "keys": "pred", "func": "$lambda x: x > 3"}], "func is $lambda x: x > 3, which is"),
        ([THRESHOLD, {"_target_": "Lambdad", "keys": "pred", "func": "$abs"}], "expected nested torch.where"),
    ],
)
def test_postprocessing(items: list[Item], message: str, tmp_path: Path) -> None:
    assert message in refusal(BundleCase("a", CT.pre, items), tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"padding_mode": "reflect"}, "inferer: SlidingWindowInferer: padding_mode is 'reflect'"),
        ({"roi_size": [96, -1, 96]}, "inferer: SlidingWindowInferer: roi_size is [96, -1, 96], expected 3 positive"),
        ({"roi_size": [96.5, 96, 96]}, "roi_size is [96.5, 96, 96], expected whole numbers"),
        ({"_target_": "SaliencyInferer"}, "inferer: SaliencyInferer: is not imported, expected SlidingWindowInferer"),
        ({"_target_": "scripts.Mine"}, "inferer: scripts.Mine is code of the bundle, which is not run"),
        ({"overlap": "$float('0.5')"}, "inferer: SlidingWindowInferer: overlap is $float('0.5'), which is not run"),
        ({"with_coord": True}, "inferer: SlidingWindowInferer: with_coord is True, expected False"),
    ],
)
def test_inferer(change: Item, message: str, tmp_path: Path) -> None:
    assert message in refusal(BundleCase("a", CT.pre, CT.post, WINDOWS | change), tmp_path)


def test_a_loader_of_several_keys_is_refused(tmp_path: Path) -> None:
    text = refusal(BundleCase("a", [LOAD[0] | {"keys": ["ct", "pet"]}], CT.post), tmp_path)
    assert "transforms::0: LoadImaged: keys is ['ct', 'pet'], expected one key" in text


def test_a_section_that_is_missing_is_named(tmp_path: Path) -> None:
    folder = CT.write(tmp_path)
    (folder / "configs" / "inference.json").write_text('{"preprocessing": []}', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"preprocessing: expected LoadImaged first"):
        import_bundle(folder, tmp_path / "models", tmp_path / "app", Options())
