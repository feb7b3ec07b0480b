"""Windows that a page offers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpu_infer.volume.geometry import Geometry
from gpu_infer.volume.volume import Volume
from gpu_infer.writers.page.windows import measure_values, offered_windows

PERCENT = (np.arange(10_000, dtype=np.float32) / 100).reshape(10, 10, 100)


def volume(data: Any, slope: float = 1.0, inter: float = 0.0) -> Volume:
    array = np.asarray(data)[None]
    return Volume(array, Geometry(array.shape[1:], np.eye(4)), Path("case.nii"), "nifti", slope, inter)


def names(data: Any, settings: Path, step: float = 0.0, slope: float = 1.0, inter: float = 0.0) -> list[str]:
    return [window.name for window in offered_windows(measure_values(volume(data, slope, inter)), settings, step)]


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    return tmp_path / "config_render.json"


def test_a_ct_has_the_usual_windows(settings: Path) -> None:
    stored = np.array([[[24, 1124, 2024]]], np.uint16)
    values = measure_values(volume(stored, 1.0, -1024.0))
    assert (values.is_hu, values.lowest, values.highest) == (True, -1000.0, 1000.0)
    usual = ["overview", "lung", "soft tissue", "bone", "brain", "whole range"]
    assert names(stored, settings, inter=-1024.0) == usual
    assert names(stored, settings, step=8.13, inter=-1024.0) == [name for name in usual if name != "brain"]


def test_other_volumes_have_percentiles(settings: Path) -> None:
    first, second = offered_windows(measure_values(volume(PERCENT)), settings, 0.0)
    assert (first.name, second.name) == ("1–99 %", "whole range")
    assert [first.low, first.high] == pytest.approx([1, 99], abs=0.02)
    assert [second.low, second.high] == pytest.approx([0.1, 99.9], abs=0.02)


@pytest.mark.parametrize("data", [np.full((2, 2, 2), 7, np.int16), np.full((2, 2, 2), np.nan, np.float32)])
def test_a_single_value_and_none_have_a_window_with_a_width(data: Any, settings: Path) -> None:
    values = measure_values(volume(data))
    (window, *_) = offered_windows(values, settings, 0.0)
    assert values.high == values.low + 1
    assert window.high == window.low + 1


def test_ranges_of_a_renderer_are_parts_of_the_range_of_values(settings: Path) -> None:
    ranges = [(0.25, 0.5), (0, 1), (0.25, 0.5), (-1, 2), (0.5, 0.5)]
    components = [{"range": {"min": low, "max": high}} for low, high in ranges]
    settings.write_text(json.dumps({"TransferFunction": {"components": components}}), encoding="utf-8")
    *_, last = windows = offered_windows(measure_values(volume(PERCENT)), settings, 0.0)
    assert len(windows) == 3
    assert last.name == "renderer 25–50 %"
    assert [last.low, last.high] == pytest.approx([25, 50], abs=0.02)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"TransferFunction": {"components": [{"range": 3}]}}'])
def test_settings_without_ranges_add_no_window(text: str, settings: Path) -> None:
    settings.write_text(text, encoding="utf-8")
    assert names(PERCENT, settings) == ["1–99 %", "whole range"]
