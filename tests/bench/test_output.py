"""The three forms of a result: a table of at most 100 columns, JSON, and a chart with units, baseline and machine."""

from __future__ import annotations

import importlib.util
import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bench.support import output
from bench.support.chart import bar_labels, machine_name
from bench.support.output import PUBLISHED, RESULTS, Chart, Result
from bench.support.table import WIDTH, render

MACHINE = {"cpu": "Epyc", "cores": 2, "memory_gib": 23.5, "gpu": None, "taken": "2026-11-23T04:11:19+00:00"}


def printed(title: str, columns: list[str], rows: list[list[str]], keys: int = 1) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=WIDTH)
    for table in render(title, columns, rows, keys):
        console.print(table)
    return stream.getvalue()


@pytest.mark.parametrize("path", sorted(PUBLISHED.glob("*.json")), ids=lambda path: path.stem)
def test_committed_tables_fit_100_columns_without_a_split_word(path: Path) -> None:
    result = json.loads(path.read_text(encoding="utf-8"))
    columns, rows = list(result["table"][0]), [list(row.values()) for row in result["table"]]
    text = printed("a title", columns, rows, 2)
    assert max(map(len, text.splitlines())) <= WIDTH
    shown = set(text.replace("│", " ").replace("┃", " ").split())
    assert {word for cells in (columns, *rows) for cell in cells for word in cell.split()} <= shown


def test_a_wide_table_is_split_into_parts_with_its_first_column() -> None:
    text = printed("Wide", ["side", *(f"column-{n}" + "x" * 30 for n in range(4))], [["ours", *"abcd"]])
    assert text.count("ours") == 2
    assert "Wide (1 of 2)" in text
    assert "Wide (2 of 2)" in text
    assert [n for n in range(4) if f"column-{n}{'x' * 30}" in text] == [0, 1, 2, 3]


def test_results_go_to_the_folder_of_the_caller(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in PUBLISHED.iterdir()}
    Result("cubic", "A title", ["side", "median"], [["ours", "1 s"]]).publish(tmp_path / "new")
    written = json.loads((tmp_path / "new" / "cubic.json").read_text(encoding="utf-8"))
    assert written["table"] == [{"side": "ours", "median": "1 s"}]
    assert {path: path.stat().st_mtime_ns for path in PUBLISHED.iterdir()} == before
    assert "A title" in capsys.readouterr().out


def test_the_default_folder_is_ignored_by_git() -> None:
    lines = (Path(output.__file__).parents[2] / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert f"{RESULTS}/" in lines


def test_bars_name_value_and_ratio_to_the_baseline() -> None:
    group = {"MONAI": 3.0, "gpu_infer": 1.5}
    assert bar_labels(group, "gpu_infer") == ["MONAI  3  (2×)", "gpu_infer  1.5  (1×)"]
    assert bar_labels({"JSON": 2.0, "gRPC": 1.0}, "gpu_infer") == ["JSON  2  (1×)", "gRPC  1  (0.5×)"]
    assert bar_labels({"one": 1234.5}, "gpu_infer") == ["one  1234"]


def test_the_machine_has_a_name_of_one_line() -> None:
    assert machine_name(MACHINE) == "Epyc, 2 cores, 23.5 GiB; 2026-11-23"
    assert machine_name(MACHINE | {"gpu": "NVIDIA L4"}) == "Epyc, 2 cores, 23.5 GiB, NVIDIA L4; 2026-11-23"


@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="matplotlib is not installed")
def test_a_chart_is_drawn_with_unit_and_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.figure import Figure

    texts: list[Any] = []
    monkeypatch.setattr(
        Figure,
        "savefig",
        lambda figure, path, **options: texts.extend(
            [figure.axes[0].get_xlabel(), figure.get_supxlabel(), len(figure.axes[0].collections)]
        ),
    )
    chart = Chart({"one": {"gpu_infer": 1.0, "MONAI": 2.0}, "two": {"gpu_infer": 1.0}}, "seconds")
    Result("cubic", "A title", ["side"], [["ours"]], chart=chart).publish(tmp_path)
    assert texts[0] == "seconds"
    assert "cores" in texts[1]
    assert texts[2] == 1  # the line of the baseline, in the group that has another side
