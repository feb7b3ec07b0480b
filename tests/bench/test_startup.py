"""bench.startup: processes that only start, and a first and a second run with a real server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import startup
from bench.support.chart import baseline_of


def test_stages_from_the_request_on_are_summed() -> None:
    stages = {"configure": 1.0, "read": 2.0, "prepare": 4.0, "infer": 8.0, "restore": 16.0, "write": 32.0}
    assert startup.after_request(stages) == 56.0


def test_commands_alone_have_three_rows(tmp_path: Path) -> None:
    startup.run(1, tmp_path, runs=0)
    written = json.loads((tmp_path / "startup.json").read_text(encoding="utf-8"))
    assert [row["command"] for row in written["table"]] == list(startup.COMMANDS)


def test_bars_are_compared_within_commands_and_within_runs() -> None:
    medians = {"gpu-infer --help": 3.0, "import gpu_infer": 2.0, "python alone": 1.0}
    assert startup.chart_groups(medians) == {"start": medians}
    runs = {f"{run}, {part}": 5.0 for run in (startup.FIRST, startup.SECOND) for part in startup.PARTS}
    groups = startup.chart_groups(medians | runs)
    assert list(groups) == ["start", *startup.PARTS]
    assert baseline_of(groups["start"], startup.ALONE) == 1.0
    assert all(next(iter(groups[part])) == startup.SECOND for part in startup.PARTS)


@pytest.mark.slow
def test_the_second_run_finds_the_kernels_of_the_first(tmp_path: Path) -> None:
    startup.run(1, tmp_path, runs=1)
    written = json.loads((tmp_path / "startup.json").read_text(encoding="utf-8"))
    spent = {name: values["median_s"] for name, values in written["timings"].items()}
    for each in (startup.FIRST, startup.SECOND):
        assert 0 < spent[f"{each}, until the first request"] < spent[f"{each}, whole"]
    assert list(spent)[3:] == [
        f"{each}, {part}" for each in (startup.FIRST, startup.SECOND) for part in ("until the first request", "whole")
    ]
