"""The key "series" of a configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from operator_helpers import config, write_config

from gpu_infer.config.config import Config
from gpu_infer.config.load import load_config
from gpu_infer.errors import ConfigError


def load(folder: Path, series: Any) -> Config:
    return load_config(write_config(folder, config("m") | {"series": series}), {})


def test_one_rule_or_a_list(tmp_path: Path) -> None:
    one, several = load(tmp_path, "slices>20"), load(tmp_path, ["Modality=CT, slices>20", "Modality=MR"])
    assert one.series is not None
    assert several.series is not None
    assert [rule.text for rule in one.series.selectors] == ["slices>20"]
    assert [len(rule.conditions) for rule in several.series.selectors] == [2, 1]
    assert several.series.source == f"{tmp_path}/config_inference.json: series"
    assert not several.series.is_option
    assert one.extra == {}


def test_the_rules_are_part_of_the_hash(tmp_path: Path) -> None:
    none = load(tmp_path, None)
    assert none.series is None
    assert len({none.hash(), load(tmp_path, "slices>20").hash(), load(tmp_path, "slices>21").hash()}) == 3


@pytest.mark.parametrize(
    ("series", "message"),
    [
        (3, 'series: expected a rule such as "Modality=CT, slices>20", or a list of them, found 3'),
        ([], "series: expected a rule"),
        ({"Modality": "CT"}, "series: expected a rule"),
        ([3], 'series[0]: expected a rule such as "Modality=CT, slices>20", found 3'),
        (["slices>2", "Modalty=CT"], "series[1]: Modalty is no keyword of DICOM (did you mean Modality"),
        ("2", "series: found '2', expected a condition"),
        ("1.2.840.1", "series: found '1.2.840.1', expected a condition"),
    ],
)
def test_rules_that_cannot_be_meant(tmp_path: Path, series: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, series)
    assert message in str(caught.value)
