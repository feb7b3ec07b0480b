"""<name>.statistics.csv: RFC 4180, cells that a spreadsheet would run, and files that are not replaced."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from gpu_infer.errors import ConfigError
from gpu_infer.writers.statistics import COLUMNS, format_table, is_statistics, statistics_places, write_statistics


def parsed(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode("utf-8"), newline=""), strict=True))


def test_a_table_by_hand() -> None:
    row = {"label": 3, "name": "lung", "voxels": 7, "ml": 0.007, "mean": -1.5, "std": None, "touches_border": True}
    assert format_table([row]) == (
        b"label,name,voxels,ml,not_finite,mean,std,median,min,max,box_begin_i,box_begin_j,box_begin_k,"
        b"box_end_i,box_end_j,box_end_k,centroid_r_mm,centroid_a_mm,centroid_s_mm,touches_border\r\n"
        b"3,lung,7,0.007,,-1.5,,,,,,,,,,,,,,true\r\n"
    )


@pytest.mark.parametrize("name", ['left, "upper"\nlobe', "Leber \u00e4\u6f22", "a,b", '"', "\r\n"])
def test_any_name_is_read_back(name: str) -> None:
    assert parsed(format_table([{"label": 1, "name": name}, {"label": 2, "name": "x"}]))[1][1] == name


@pytest.mark.parametrize("name", ["=1+1", '=HYPERLINK("http://x")', "+1", "-1", "@SUM(A1)", "\t=1", "  =1", "\r\n@x"])
def test_a_name_is_no_formula(name: str) -> None:
    assert parsed(format_table([{"label": 1, "name": name}]))[1][1] == f"'{name}"


def test_negative_numbers_stay_numbers() -> None:
    assert parsed(format_table([{"label": 1, "mean": -812.25, "min": -1024.0}]))[1][5:9] == [
        "-812.25",
        "",
        "",
        "-1024.0",
    ]


def test_tables_are_named_after_case_and_field_and_replaced(tmp_path: Path) -> None:
    assert write_statistics({"model": [{"label": 1}]}, tmp_path, "case") == {"model": tmp_path / "case.statistics.csv"}
    several = write_statistics({"a": [], "b": [{"label": 9}]}, tmp_path, "case")
    assert [path.name for path in several.values()] == ["case.a.statistics.csv", "case.b.statistics.csv"]
    assert parsed(several["a"].read_bytes()) == [list(COLUMNS)]
    write_statistics({"model": [{"label": 2}]}, tmp_path, "case")
    assert parsed((tmp_path / "case.statistics.csv").read_bytes())[1][0] == "2"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("case.a.statistics.csv", "case.b.statistics.csv", "case.statistics.csv"),
    ]


def test_a_file_of_another_program_stays(tmp_path: Path) -> None:
    path = tmp_path / "case.statistics.csv"
    path.write_text("label,name\n1,mine\n")
    assert not is_statistics(path)
    with pytest.raises(ConfigError, match=r"case\.statistics\.csv: found a file of another program, expected none or"):
        write_statistics({"model": [{"label": 1}]}, tmp_path, "case")
    assert path.read_text() == "label,name\n1,mine\n"


def test_the_place_of_a_table_recognises_it(tmp_path: Path) -> None:
    (place,) = statistics_places(tmp_path, "case", ["model"])
    write_statistics({"model": []}, tmp_path, "case")
    assert place.path == tmp_path / "case.statistics.csv"
    assert place.is_ours(place.path)
