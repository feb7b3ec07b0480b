"""status.csv and summary.json, with numbers worked out by hand."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from jobs import make_job

from gpu_infer.batch.case import Case
from gpu_infer.batch.outcome import Outcome
from gpu_infer.batch.summary import all_outcomes, check_summary_places, make_summary, write_summary
from gpu_infer.errors import ConfigError

LIVER = {"name": "liver", "voxels": 1, "ml": 1200.0}
CASES = [Case(name, (Path(f"{name}.nii"),)) for name in "abcde"]


def outcomes() -> list[Outcome | None]:
    report = {"model": {"name": "organs", "version": "1"}, "versions": {"gpu_infer": "0.1.0"}}
    other = {"model": {"name": "organs", "version": "2"}, "versions": {"gpu_infer": "0.1.0"}}
    return [
        Outcome("a", "done", seconds=4.0, labels={"0": {"ml": 9.0}, "10": {"ml": 2.0}, "2": LIVER}, report=report),
        Outcome("b", "done", seconds=2.0, labels={"2": {**LIVER, "ml": 1000.0}}, report=other, skipped=True),
        Outcome("c", "failed", error='no, "not" this', exit_code=3, kind="input", seconds=0.1),
        Outcome("d", "crashed", error="ended its worker", exit_code=137, kind="crash", attempts=2),
        None,
    ]


def test_the_table_has_a_line_for_each_case_and_a_column_for_each_label(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    job.output.mkdir()
    ended = outcomes()
    write_summary(job, CASES, ended, make_summary(CASES, ended, 60.0, "c.json"))
    rows = list(csv.reader((job.output / "status.csv").read_text().splitlines()))
    assert rows == [
        ["id", "status", "kind", "exit_code", "seconds", "attempts", "error", "liver ml", "label 10 ml"],
        ["a", "done", "", "0", "4.0", "1", "", "1200.0", "2.0"],
        ["b", "done", "", "0", "2.0", "1", "", "1000.0", "0.0"],
        ["c", "failed", "input", "3", "0.1", "1", 'no, "not" this', "", ""],
        ["d", "crashed", "crash", "137", "0.0", "2", "ended its worker", "", ""],
        ["e", "open", "", "", "", "", "", "", ""],
    ]
    assert json.loads((job.output / "summary.json").read_text()) == make_summary(CASES, ended, 60.0, "c.json")


def test_the_numbers(tmp_path: Path) -> None:
    summary = make_summary(CASES, outcomes(), 60.0, "c.json")
    assert summary["cases"] == {"all": 5, "done": 2, "failed": 1, "crashed": 1, "open": 1}
    assert summary["this_batch"] == {"cases": 3, "skipped": 1, "seconds": 60.0, "cases_per_hour": 180.0}
    assert summary["failures"] == {"crash": 1, "input": 1}
    assert summary["seconds_per_case"] == {"mean": 3.0, "min": 2.0, "max": 4.0}
    assert summary["labels"] == {
        "2": {"name": "liver", "cases": 2, "ml": {"mean": 1100.0, "min": 1000.0, "max": 1200.0}},
        "10": {"name": "label 10", "cases": 1, "ml": {"mean": 1.0, "min": 0.0, "max": 2.0}},
    }
    assert summary["models"] == ["organs version 1", "organs version 2"]
    (warning,) = summary["warnings"]
    assert warning.startswith("cases were segmented with several models: organs version 1, organs version 2")


def test_no_case_at_all() -> None:
    summary = make_summary([], [], 0.0, "c.json")
    assert summary["cases"]["all"] == 0
    assert (summary["seconds_per_case"], summary["labels"], summary["warnings"]) == (None, {}, [])


def test_cases_of_other_parts_come_from_their_folders(tmp_path: Path) -> None:
    from jobs import make_case, write_done

    from gpu_infer.batch.inputs import look_at
    from gpu_infer.batch.job_key import job_key

    job = make_job(tmp_path)
    one, two, three = (make_case(tmp_path, name) for name in ("one", "two", "three"))
    write_done(job, two, [look_at(two.inputs[0])], "0", [two.inputs[0]])
    known = Outcome("one", "failed", error="no", kind="input")
    first, second, third = all_outcomes(job, [one, two, three], {"one": known}, job_key(job))
    assert first is known
    assert second is not None
    assert (second.status, second.skipped, second.labels["1"]["ml"], third) == ("done", True, 1.5, None)


def test_a_case_with_another_input_or_option_is_open(tmp_path: Path) -> None:
    from jobs import make_case, write_done

    from gpu_infer.batch.inputs import look_at
    from gpu_infer.batch.job_key import job_key

    job, case = make_job(tmp_path), make_case(tmp_path)
    write_done(job, case, [look_at(case.inputs[0])], "0", [case.inputs[0]])
    other = make_job(tmp_path, statistics=True)
    assert all_outcomes(other, [case], {}, job_key(other)) == [None]
    case.inputs[0].write_bytes(b"another volume")
    assert all_outcomes(job, [case], {}, job_key(job)) == [None]


@pytest.mark.parametrize("name", ["status.csv", "summary.json"])
def test_a_file_of_another_program_is_not_replaced(tmp_path: Path, name: str) -> None:
    job = make_job(tmp_path)
    job.output.mkdir()
    check_summary_places(job)
    write_summary(job, [], [], make_summary([], [], 0.0, "c.json"))
    check_summary_places(job)
    (job.output / name).write_text("id,input\n1,scan.nii\n")
    with pytest.raises(ConfigError, match=f"{name}: found a file of another program"):
        check_summary_places(job)


def test_a_new_version_of_one_of_several_models_is_a_warning() -> None:
    def outcome(name: str, version: str) -> Outcome:
        models = [{"name": "organs", "version": "1"}, {"name": "vessels", "version": version}]
        report = {"model": {**models[0], "models": models}, "versions": {"gpu_infer": "0.1.0"}}
        return Outcome(name, "done", seconds=1.0, report=report)

    summary = make_summary(CASES[:2], [outcome("a", "1"), outcome("b", "2")], 1.0, "c.json")
    (warning,) = summary["warnings"]
    assert "organs version 1 + vessels version 1, organs version 1 + vessels version 2" in warning
