"""MONAI's names in a configuration lead to their counterparts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from config_files import component, load, lung

from gpu_infer.config.monai_names import _COUNTERPARTS, monai_hint
from gpu_infer.errors import ConfigError
from gpu_infer.transforms.registry import TRANSFORMS


@pytest.mark.parametrize("name", ["LoadImage", "LoadImaged", "LoadImageD", "LoadImageDict"])
def test_every_spelling_of_a_name_is_known(name: str) -> None:
    assert monai_hint(name) == "; MONAI's LoadImage is LoadNifti here"


@pytest.mark.parametrize("name", ["Own", "d", "Invertdd", ""])
def test_other_names_give_no_hint(name: str) -> None:
    assert monai_hint(name) == ""


def test_counterparts_exist() -> None:
    words = {word for text in _COUNTERPARTS.values() for word in re.findall(r"[A-Z][a-z]+[A-Z]\w+", text)}
    assert words - {"ScanWindowInferer"} <= set(TRANSFORMS)
    assert "LoadNifti" in words


def test_the_error_of_a_configuration_names_the_counterpart(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r'unknown transform "LoadImaged"; MONAI\'s LoadImage is LoadNifti here'):
        load(tmp_path, lung(pre_transforms=[component("LoadImaged", keys="image")]))
    with pytest.raises(ConfigError, match=r'unknown inferer "SlidingWindowInferer"; MONAI\'s .* with "mode": "monai"'):
        load(tmp_path, lung(inferer=component("SlidingWindowInferer", roi_size=[96, 96, 96])))
    with pytest.raises(ConfigError, match=r'unknown inferer "SliceInferer"; MONAI\'s .* 2-D model, "slice_axis"'):
        load(tmp_path, lung(inferer=component("SliceInferer", roi_size=[96, 96])))
    with pytest.raises(ConfigError, match=r"; MONAI's EnsureType is not needed here"):
        load(tmp_path, lung(pre_transforms=[component("EnsureTyped", keys="image")]))


@pytest.mark.parametrize("key", ["name", "path"])
def test_a_dotted_name_of_monai_leads_there_too(key: str, tmp_path: Path) -> None:
    own = {key: "monai.transforms.LoadImaged", "args": {"keys": "image"}}
    with pytest.raises(ConfigError, match=r'"monai\.transforms\.LoadImaged" is a component of MONAI, .*LoadNifti here'):
        load(tmp_path, lung(pre_transforms=[own]))


def test_an_own_package_may_be_named_monai(tmp_path: Path) -> None:
    (tmp_path / "monai").mkdir()
    (tmp_path / "monai" / "own.py").write_text("Thing = 5\n")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, lung(pre_transforms=[{"path": "monai.own.Thing"}]))
    assert "component of MONAI" not in str(caught.value)
