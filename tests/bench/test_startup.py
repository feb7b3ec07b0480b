"""bench.startup: processes that only start, and a first and a second run with a real server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import startup


def test_stages_from_the_request_on_are_summed() -> None:
    stages = {"configure": 1.0, "read": 2.0, "prepare": 4.0, "infer": 8.0, "restore": 16.0, "write": 32.0}
    assert startup.after_request(stages) == 56.0


def test_commands_alone_have_three_rows(tmp_path: Path) -> None:
    startup.run(1, tmp_path, runs=0)
    written = json.loads((tmp_path / "startup.json").read_text(encoding="utf-8"))
    assert [row["command"] for row in written["table"]] == list(startup.COMMANDS)


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
