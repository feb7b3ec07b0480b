"""Largest-component rules of a trained folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gpu_infer.errors import ConfigError
from gpu_infer.imports.nnunet.postprocessing import postprocessing

RULE = "remove_all_but_largest_component_from_segmentation"


def write_rules(folder: Path, functions: list[str], arguments: list[Any]) -> None:
    place = folder / "crossval_results_folds_0_1"
    place.mkdir()
    content = {"postprocessing_fns": functions, "postprocessing_kwargs": arguments}
    (place / "postprocessing.json").write_text(json.dumps(content), encoding="utf-8")


def test_a_rule_is_a_transform_each(tmp_path: Path) -> None:
    write_rules(tmp_path, [RULE, RULE], [{"labels_or_regions": [1, [2, 3]]}, {"labels_or_regions": 2}])
    rules, note = postprocessing(tmp_path, ["0", "1"])
    assert [rule["name"] for rule in rules] == ["KeepLargestCC", "KeepLargestCC"]
    assert [rule["args"]["applied_labels"] for rule in rules] == [[1, 2, 3], [2]]
    assert all(rule["args"]["connectivity"] == 3 and rule["args"]["independent"] is False for rule in rules)
    assert note.startswith("2 largest-component rules of ")


def test_rules_of_other_folds_are_not_used(tmp_path: Path) -> None:
    write_rules(tmp_path, [RULE], [{"labels_or_regions": 1}])
    assert postprocessing(tmp_path, ["0"]) == ([], "")


def test_no_rule_is_said(tmp_path: Path) -> None:
    write_rules(tmp_path, [], [])
    assert "has no rule" in postprocessing(tmp_path, ["0", "1"])[1]


def test_a_pickle_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "crossval_results_folds_0").mkdir()
    (tmp_path / "crossval_results_folds_0" / "postprocessing.pkl").write_bytes(b"anything")
    rules, note = postprocessing(tmp_path, ["0"])
    assert rules == []
    assert "postprocessing.pkl is not read" in note


@pytest.mark.parametrize(
    ("functions", "arguments", "message"),
    [
        (["my_function"], [{}], "expected no other function than remove_all_but"),
        ([RULE], [], "expected an object for each function"),
        ([RULE], [{"labels_or_regions": [0]}], "labels_or_regions with labels from 1 on"),
        ([RULE], [{"labels_or_regions": [1], "background_label": 7}], "labels_or_regions with labels from 1 on"),
    ],
)
def test_refused_rules(tmp_path: Path, functions: list[str], arguments: list[Any], message: str) -> None:
    write_rules(tmp_path, functions, arguments)
    with pytest.raises(ConfigError, match=message):
        postprocessing(tmp_path, ["0", "1"])
