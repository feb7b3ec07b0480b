"""Statistics in the report and in the table: physical units, RAS mm, names and borders by hand."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planned_runs import inputs_of, model_of

from gpu_infer.app import RunResult
from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.backends.label_tables import LabelStatistics
from gpu_infer.cli.run import written
from gpu_infer.errors import ConfigError
from gpu_infer.label_table.table import Label, LabelTable
from gpu_infer.planning.run_plan import make_plan
from gpu_infer.report import Report
from gpu_infer.results.label_maps import write_labels
from gpu_infer.results.places import output_places
from gpu_infer.results.statistics import statistics_section, write_label_statistics
from gpu_infer.segment import Segmentation
from gpu_infer.volume.geometry import Geometry
from gpu_infer.volume.volume import Volume

SHAPE = (6, 5, 4)
AFFINE = np.array([[0.0, -2.0, 0.0, 10.0], [3.0, 0.0, 0.0, -5.0], [0.0, 0.0, 4.0, 1.0], [0.0, 0.0, 0.0, 1.0]])
ROW = LabelStatistics(5, 0, 10.0, 2.0, 9.0, 7.0, 13.0, (1, 1, 1), (3, 4, 2), (1.5, 2.0, 1.0))
NO_NAMES = LabelTable()


def volume_of(slope: float = 1.0, inter: float = 0.0) -> Volume:
    data = np.zeros((2, *SHAPE), np.int16)
    return Volume(data, Geometry(SHAPE, AFFINE), Path("volume.nii"), "nifti", slope, inter)


def test_a_label_by_hand() -> None:
    """Voxels of 24 mm³; index (1.5, 2, 1) is at (10 − 2·2, −5 + 3·1.5, 1 + 4·1) mm."""
    assert statistics_section({3: ROW}, volume_of(), NO_NAMES) == {
        "3": {
            "name": "label 3",
            "voxels": 5,
            "ml": 0.12,
            "not_finite": 0,
            "mean": 10.0,
            "std": 2.0,
            "median": 9.0,
            "min": 7.0,
            "max": 13.0,
            "box_begin": [1, 1, 1],
            "box_end": [3, 4, 2],
            "centroid_ras_mm": [6.0, -0.5, 5.0],
            "touches_border": False,
        }
    }


def test_a_negative_slope_exchanges_the_ends() -> None:
    row = statistics_section({3: ROW}, volume_of(-2.0, 100.0), NO_NAMES)["3"]
    values = {name: row[name] for name in ("mean", "std", "median", "min", "max")}
    assert values == {"mean": 80.0, "std": 4.0, "median": 82.0, "min": 74.0, "max": 86.0}


@pytest.mark.parametrize(
    ("begin", "end", "touches"),
    [
        ((0, 1, 1), (3, 4, 2), True),
        ((1, 1, 1), (3, 5, 2), True),
        ((1, 1, 0), (2, 2, 1), True),
        ((1, 1, 1), (5, 4, 3), False),
    ],
)
def test_a_box_touches_the_border(begin: Any, end: Any, touches: bool) -> None:
    row = replace(ROW, begin=begin, end=end)
    assert statistics_section({1: row}, volume_of(), NO_NAMES)["1"]["touches_border"] is touches


def test_unknown_values_are_null_and_described_labels_have_a_row() -> None:
    nothing = replace(
        ROW, not_finite=5, mean=math.nan, std=math.nan, median=math.nan, minimum=math.nan, maximum=math.nan
    )
    table = LabelTable({n: Label(n, name, (1, 2, 3)) for n, name in ((0, "air"), (2, "lung"), (9, "liver"))})
    actual = statistics_section({2: nothing}, volume_of(), table)
    assert [(label, row["name"], row["voxels"]) for label, row in actual.items()] == [
        ("2", "lung", 5),
        ("9", "liver", 0),
    ]
    assert [actual["2"][name] for name in ("mean", "std", "median", "min", "max")] == [None] * 5
    assert (actual["9"]["ml"], actual["9"]["box_begin"], actual["9"]["centroid_ras_mm"]) == (0.0, None, None)
    assert not actual["9"]["touches_border"]


def run_of(folder: Path, **options: Any) -> tuple[Segmentation, Volume, Report]:
    (folder / "out").mkdir()
    inputs = inputs_of(folder, SHAPE, options={"output": folder / "out", **options})
    labels = np.zeros(SHAPE, np.uint8)
    labels[1, 2, 3] = labels[2, 2, 3] = 1
    volume = Volume(np.arange(120, dtype=np.int16).reshape(1, *SHAPE), inputs.header.geometry, Path("v.nii"), "nifti")
    statistics = {"model": CpuBackend().label_statistics(labels, volume.data[0], [1])}
    plan = make_plan(inputs, model_of(2, SHAPE))
    report = Report()
    segmentation = Segmentation({"model": labels}, {"model": [118, 2]}, {}, plan, statistics=statistics)
    write_labels(segmentation, volume, report)
    return segmentation, volume, report


def test_the_table_has_the_numbers_of_the_report(tmp_path: Path) -> None:
    segmentation, volume, report = run_of(tmp_path, statistics=True)
    assert write_label_statistics(segmentation, volume, report) == [tmp_path / "out/volume.statistics.csv"]
    (output,) = report.data["outputs"]
    assert output["statistics_csv"] == str(tmp_path / "out/volume.statistics.csv")
    with (tmp_path / "out/volume.statistics.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    entry = output["statistics"]["1"]
    assert (entry["mean"], entry["median"], entry["min"], entry["max"], entry["std"]) == (41.0, 41.0, 31.0, 51.0, 10.0)
    assert {name: row[name] for name in ("label", "name", "voxels", "mean", "box_begin_k", "box_end_k")} == {
        "label": "1",
        "name": "label 1",
        "voxels": "2",
        "mean": "41.0",
        "box_begin_k": "3",
        "box_end_k": "4",
    }
    assert [row[f"centroid_{axis}_mm"] for axis in "ras"] == [repr(v) for v in entry["centroid_ras_mm"]]
    assert (row["touches_border"], entry["touches_border"]) == ("true", True)


def test_nothing_is_written_unless_it_is_asked_for(tmp_path: Path) -> None:
    segmentation, volume, report = run_of(tmp_path)
    assert write_label_statistics(segmentation, volume, report) == []
    assert "statistics" not in report.data["outputs"][0]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["volume.mhd", "volume.raw"]


def test_a_table_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    segmentation, volume, report = run_of(tmp_path, statistics=True)
    (tmp_path / "out/volume.statistics.csv").write_text("mine")
    with pytest.raises(ConfigError, match="found a file of another program"):
        write_label_statistics(segmentation, volume, report)
    assert (tmp_path / "out/volume.mhd").is_file()


def test_the_table_has_a_place_that_is_checked_before_the_inference(tmp_path: Path) -> None:
    inputs = inputs_of(tmp_path, SHAPE, options={"statistics": True})
    places = output_places(inputs.settings, inputs.config, inputs.header)
    assert tmp_path / "volume.statistics.csv" in [place.path for place in places]
    settings = replace(inputs.settings, statistics=False)
    assert not [p for p in output_places(settings, inputs.config, inputs.header) if p.path.suffix == ".csv"]


def test_the_command_names_the_table() -> None:
    result = RunResult(
        Path("a.mhd"), Path("a.raw"), None, {}, label_maps=[Path("a.mhd")], statistics=[Path("a.statistics.csv")]
    )
    assert written(result) == ["labels   a.mhd", "numbers  a.statistics.csv"]
