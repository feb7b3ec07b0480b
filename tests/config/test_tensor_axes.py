"""The inferer's `roi_size` of two numbers: the window of a 2-D model inside a slice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from config_files import component, load, lung

from gpu_infer.errors import ConfigError


def inferer(folder: Path, **arguments: Any) -> Any:
    return load(folder, lung(inferer=component("TRTISScanWindowInferer", model_name="m", **arguments))).inferer


@pytest.mark.parametrize(
    ("arguments", "window", "across"),
    [
        ({"roi_size": [96, 64]}, (96, 64, 1), "Z"),
        ({"roi": [96, 64]}, (96, 64, 1), "Z"),
        ({"roi_size": ["96", "64"]}, (96, 64, 1), "Z"),
        ({"roi_size": [96, 64], "slice_axis": "y"}, (96, 1, 64), "Y"),
        ({"roi_size": [96, 64], "slice_axis": "X"}, (1, 96, 64), "X"),
        ({"roi_size": [96, 64], "axes": "ZY"}, (1, 96, 64), "X"),
        ({"roi_size": [96, 64], "axes": "zx"}, (96, 1, 64), "Y"),
        ({"roi_size": [96, 64], "axes": "ZYX"}, (96, 64, 1), "Z"),
        ({"roi_size": [96, 64], "axes": "ZYX", "slice_axis": "X"}, (1, 96, 64), "X"),
    ],
)
def test_the_axis_across_slices_is_1(
    tmp_path: Path, arguments: dict[str, Any], window: tuple[int, int, int], across: str
) -> None:
    spec = inferer(tmp_path, **arguments)
    assert (spec.roi_size, spec.slice_axis, spec.takes_slices) == (window, across, True)


def test_three_numbers_say_nothing_about_slices(tmp_path: Path) -> None:
    spec = inferer(tmp_path, roi_size=[96, 64, 1])
    assert (spec.roi_size, spec.slice_axis, spec.takes_slices) == ((96, 64, 1), None, False)


def test_an_annotation_section_may_have_two_numbers(tmp_path: Path) -> None:
    section = {"name": "TRTISInference", "args": {"scanning_window": True, "roi": [96, 64]}}
    spec = load(tmp_path, lung(inferer=None, inference=section)).inferer
    assert (spec.kind, spec.roi_size, spec.slice_axis) == ("scan", (96, 64, 1), "Z")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"roi_size": [96]}, "inferer.args.roi_size: expected 3 positive whole numbers, found [96]"),
        ({"roi_size": [96, 0]}, "inferer.args.roi_size: expected 3 positive whole numbers, found [96, 0]"),
        ({"roi_size": [96, 1.5]}, "inferer.args.roi_size: expected 3 positive whole numbers, found [96, 1.5]"),
        ({"roi_size": [96, True]}, "inferer.args.roi_size: expected 3 positive whole numbers, found [96, true]"),
        ({"roi_size": [96, 64], "axes": "XY", "slice_axis": "X"}, "inferer.args: axes XY are those of slices"),
    ],
)
def test_other_values_are_shown_as_they_are_written(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        inferer(tmp_path, **arguments)
    assert message in str(caught.value)
