"""The inferer's `models` and `combine`: what they mean, and what is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from config_files import component, load, lung

from gpu_infer.errors import ConfigError
from gpu_infer.label_table.palette import palette_colour


def inferer(folder: Path, models: Any, **arguments: Any) -> Any:
    args = {"roi_size": [8, 8, 8], "models": models, **arguments}
    return load(folder, lung(inferer=component("TRTISScanWindowInferer", **args))).inferer


def test_names_alone_and_objects(tmp_path: Path) -> None:
    spec = inferer(tmp_path, ["a", {"model_name": "b", "model_version": -1, "weight": "2", "output_name": "OUT"}])
    assert [(e.model_name, e.model_version, e.weight, e.output_name) for e in spec.entries] == [
        ("a", None, None, None),
        ("b", None, 2.0, "OUT"),
    ]
    assert not spec.unites_labels


def test_final_labels_by_list_object_and_offset(tmp_path: Path) -> None:
    models = [
        {"model_name": "a", "labels": [4, 0, 6]},
        {"model_name": "b", "labels": {"2": 8, "1": "7"}},
        {"model_name": "c", "offset": 10},
    ]
    first, second, third = inferer(tmp_path, models, combine="union").entries
    assert first.final_labels(4) == (0, 4, 0, 6)
    assert second.final_labels(3) == (0, 7, 8)
    assert third.final_labels(3) == (0, 11, 12)
    with pytest.raises(ValueError, match="labels lacks 3, expected 1 to 3"):
        second.final_labels(4)
    with pytest.raises(ValueError, match="labels has 3, expected 1 to 2"):
        first.final_labels(3)


def test_names_of_parts_become_names_of_final_labels(tmp_path: Path) -> None:
    models: list[dict[str, Any]] = [
        {"model_name": "a", "labels": [4, 0, 4], "names": {"1": "liver", "2": "gone", "3": "liver"}},
        {"model_name": "b", "offset": 10, "names": ["background", "spleen", {"name": "vein", "colour": "#0000ff"}]},
    ]
    args = {"models": models, "combine": "union", "roi_size": [8, 8, 8]}
    document = lung(inferer=component("TRTISScanWindowInferer", **args), labels={"0": "nothing", "11": "Spleen"})
    table = load(tmp_path, document).labels
    assert {n: label.name for n, label in table.described.items()} == {
        0: "nothing",
        4: "liver",
        11: "Spleen",
        12: "vein",
    }
    assert table[12].colour == (0, 0, 255)
    assert table[4].colour == palette_colour(4)
    models[0]["names"] = {"1": "liver", "3": "heart"}
    with pytest.raises(ConfigError, match=r"models\[0\]\.names\.3: final label 4 is \"liver\" already"):
        load(tmp_path, lung(inferer=component("TRTISScanWindowInferer", **args)))
    models[0]["names"] = {"7": "liver"}
    with pytest.raises(ConfigError, match=r"models\[0\]\.names\.7: is no label of the model that has a final label"):
        load(tmp_path, lung(inferer=component("TRTISScanWindowInferer", **args)))


def test_the_hash_of_one_model_has_no_new_keys(tmp_path: Path) -> None:
    one = load(tmp_path, lung())
    assert one.inferer.models is None
    two = load(tmp_path, lung(inferer=component("TRTISScanWindowInferer", models=["a", "b"], roi_size=[8, 8, 8])))
    other = load(tmp_path, lung(inferer=component("TRTISScanWindowInferer", models=["a", "c"], roi_size=[8, 8, 8])))
    assert len({one.hash(), two.hash(), other.hash()}) == 3


UNION: dict[str, Any] = {"combine": "union"}
A: dict[str, Any] = {"model_name": "a", "offset": 0}


@pytest.mark.parametrize(
    ("models", "arguments", "message"),
    [
        ([], {}, r"args\.models: expected a list of 2 to 32 models, found \[\]"),
        ("a", {}, r"args\.models: expected a list of 2 to 32 models, found \"a\""),
        (["a"], {}, r"args\.models: expected a list of 2 to 32 models, found \[\"a\"\]"),
        (["a", 3], {}, r"args\.models\[1\]: expected a name, or an object"),
        (["a", {"name": "b"}], {}, r"args\.models\[1\]: a model has no argument \"name\""),
        (["a", {"weight": 1}], {}, r"args\.models\[1\]: a model needs the argument \"model_name\""),
        (["a", "a"], {}, r"args\.models\[1\]: model a is listed twice, as entry 0 too"),
        (["a", {"model_name": "b", "weight": 0}], {}, r"models\[1\]\.weight: expected a number from 1e-06 to 1e\+06"),
        (["a", {"model_name": "b", "weight": 1e300}], {}, r"models\[1\]\.weight: expected a number from 1e-06"),
        (["a", {"model_name": "b", "weight": "x"}], {}, r"models\[1\]\.weight: expected a finite number"),
        (["a", {"model_name": "b", "offset": 1}], {}, r"models\[1\]\.offset: belongs to combine \"union\""),
        (["a", "b"], {"model_name": "c"}, r"\"model_name\" and \"models\" exclude each other"),
        (["a", "b"], {"output_name": "c"}, r"\"output_name\" and \"models\" exclude each other"),
        (["a", "b"], {"combine": "vote"}, r"args\.combine: expected \"mean\" or \"union\", found \"vote\""),
        (None, UNION, r"\"combine\" has no effect without \"models\""),
        ([A, "b"], UNION, r"models\[1\]: expected \"labels\" or \"offset\" in each model of a union, found none"),
        ([A, {**A, "model_name": "b", "labels": [1]}], UNION, r"models\[1\]: expected .* found both"),
        (
            [A, {"model_name": "b", "offset": 4, "weight": 2}],
            UNION,
            r"models\[1\]\.weight: belongs to combine \"mean\"",
        ),
        ([A, {"model_name": "b", "offset": -1}], UNION, r"models\[1\]\.offset: expected a whole number of 0 to 65535"),
        ([A, {"model_name": "b", "labels": {"0": 1}}], UNION, r"models\[1\]\.labels: expected \{\"label of the model"),
        ([A, {"model_name": "b", "labels": ["0" * 30 + "5"]}], UNION, r"models\[1\]\.labels: expected"),
        ([A, {"model_name": "b", "labels": [70000]}], UNION, r"models\[1\]\.labels: expected"),
        ([A, {"model_name": "b", "labels": {"1": 2, "01": 3}}], UNION, r"models\[1\]\.labels: expected"),
        (
            [{"model_name": "a", "labels": [1, 2]}, {"model_name": "b", "labels": [2]}],
            UNION,
            r"models\[1\]\.labels: final label 2 is one of a too",
        ),
    ],
)
def test_what_is_refused(tmp_path: Path, models: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        inferer(tmp_path, models, **arguments)


def test_the_option_model_is_refused(tmp_path: Path) -> None:
    spec = inferer(tmp_path, ["a", "b"])
    with pytest.raises(ConfigError, match="--model c: the configuration lists 2 models"):
        spec.check_options(model="c")
