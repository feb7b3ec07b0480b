"""What would change labels is carried over or refused, never dropped."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bundle_cases import ARGMAX, CT, LINEAR, LOAD, NEAREST, RANGE, SAVE, SOFTMAX, SPACING, WINDOWS, BundleCase, Item

from gpu_infer.errors import ConfigError
from gpu_infer.imports.bundle.files import merged
from gpu_infer.imports.bundle.import_model import Options, import_bundle
from gpu_infer.imports.bundle.metadata import OutputChannels
from gpu_infer.imports.bundle.postprocessing import translate_postprocessing
from gpu_infer.imports.bundle.preprocessing import translate_preprocessing
from gpu_infer.imports.bundle.resolve import Resolver
from gpu_infer.imports.bundle.step import read_steps


def refusal(case: BundleCase, place: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        import_bundle(case.write(place), place / "models", place / "app", Options())
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (
            LOAD[0] | {"reader": {"_target_": "NibabelReader", "as_closest_canonical": True}},
            "LoadImaged: reader has as_closest_canonical, expected a reader without arguments",
        ),
        (LOAD[0] | {"reader": "$monai.data.ITKReader(reverse_indexing=True)"}, "LoadImaged: reader is $monai.data"),
    ],
)
def test_arguments_of_a_reader_are_refused(item: Item, message: str, tmp_path: Path) -> None:
    assert message in refusal(BundleCase("a", [item, LOAD[1]], CT.post), tmp_path)


def test_other_names_of_axes_are_refused(tmp_path: Path) -> None:
    names = [["R", "L"], ["A", "P"], ["S", "I"]]
    turn = {"_target_": "Orientationd", "keys": "@key", "axcodes": "RAS", "labels": names}
    assert f"Orientationd: labels is {names!r}, expected none" in refusal(
        BundleCase("a", [*LOAD, turn], CT.post), tmp_path
    )


def test_two_modes_of_resampling_are_refused(tmp_path: Path) -> None:
    pre = [*LOAD, SPACING, SPACING | {"mode": "nearest", "pixdim": [1, 1, 1]}]
    assert "Spacingd: mode is 'nearest', expected that of the other" in refusal(replace(CT, pre=pre), tmp_path)


@pytest.mark.parametrize(
    ("post", "message"),
    [
        ([ARGMAX, {"_target_": "CastToTyped", "keys": "pred", "dtype": "$torch.bool"}], "dtype is 'bool', but labels"),
        ([ARGMAX, NEAREST, SAVE | {"output_dtype": "$np.bool"}], "output_dtype is 'bool', but labels are up to 2"),
        ([LINEAR | {"transform": "$monai.transforms.Compose(@preprocessing.transforms[:3])"}], "transform is another"),
    ],
)
def test_steps_that_change_labels_are_refused(post: list[Item], message: str, tmp_path: Path) -> None:
    assert message in refusal(BundleCase("a", CT.pre, post), tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"overlap": 1.0}, "overlap is 1.0, expected less than 1"),
        ({"overlap": [0.5, 0.5]}, "overlap is [0.5, 0.5], expected a number from 0 on, or 3 of them"),
        ({"overlap": "half"}, "overlap is 'half', expected a number from 0 on, or 3 of them"),
        ({"overlap": [0.5, "$float('1')", 0.5]}, "overlap is $float('1'), which is not run"),
        ({"mode": "gaussian", "sigma_scale": None}, "sigma_scale is None, expected a number"),
    ],
)
def test_numbers_of_the_inferer_are_checked(change: Item, message: str, tmp_path: Path) -> None:
    assert message in refusal(replace(CT, inferer=WINDOWS | change), tmp_path)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"dataset": {"transform": "@other"}, "other": {"a": 1}}, 'dataset::transform is another one than "@prep'),
        ({"evaluator": {"inferer": {"_target_": "SimpleInferer"}}}, 'evaluator::inferer is another one than "@inf'),
        ({"evaluator": {"postprocessing": "$@x"}}, 'evaluator::postprocessing is another one than "@post'),
        (
            {"evaluator": {"prepare_batch": "$scripts.prepare"}},
            "evaluator::prepare_batch is $scripts.prepare, expected",
        ),
    ],
)
def test_a_run_with_other_sections_is_refused(keys: dict[str, Any], message: str, tmp_path: Path) -> None:
    assert message in refusal(replace(CT, keys=keys), tmp_path)


def test_a_key_of_a_part_replaces_the_part(tmp_path: Path) -> None:
    first = {"inferer": {"overlap": 0.5, "mode": "constant"}, "steps": [{"pixdim": [1, 1, 1]}, {"a": 1}]}
    second = {"inferer#overlap": 0.6, "steps::0::pixdim": [2, 2, 2], "+steps::1": {"b": 2}, "inferer::cval": -1}
    assert merged(written(tmp_path, first, second)) == {
        "inferer": {"overlap": 0.6, "mode": "constant", "cval": -1},
        "steps": [{"pixdim": [2, 2, 2]}, {"a": 1, "b": 2}],
    }


@pytest.mark.parametrize("key", ["inferer::mode::x", "steps::2", "steps::x", "other::x"])
def test_a_key_of_a_part_that_is_missing_is_refused(key: str, tmp_path: Path) -> None:
    paths = written(tmp_path, {"inferer": {"mode": "constant"}, "steps": [1, 2]}, {key: 3})
    with pytest.raises(ConfigError, match=rf"1.json: {key}: there is no such part in what comes before"):
        merged(paths)


def written(place: Path, *documents: Item) -> list[Path]:
    paths = [place / f"{number}.json" for number in range(len(documents))]
    for path, document in zip(paths, documents, strict=True):
        path.write_text(json.dumps(document), encoding="utf-8")
    return paths


def test_a_volume_of_nearest_voxels_is_restored_by_nearest_voxels() -> None:
    case = replace(CT, pre=[*LOAD, SPACING | {"mode": "nearest"}, RANGE], post=[SOFTMAX, LINEAR, ARGMAX, SAVE])
    resolver = Resolver(case.configuration(), "a", {}.__getitem__)
    steps = read_steps(resolver, "preprocessing", "a")
    prepared = translate_preprocessing(steps, resolver.value("preprocessing"))
    finish = translate_postprocessing(read_steps(resolver, "postprocessing", "a"), prepared, 3)
    assert finish.transforms[1]["args"]["is_label"] is True


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({0: "spleen"}, {"0": "background", "1": "spleen"}),
        ({0: "air", 1: "spleen"}, {"0": "air", "1": "spleen"}),
        ({1: "spleen"}, {"0": "background", "1": "spleen"}),
    ],
)
def test_names_of_one_channel_are_those_of_the_channel_or_of_its_values(
    names: dict[int, str], expected: dict[str, str]
) -> None:
    assert OutputChannels(1, names).mask_names() == expected
