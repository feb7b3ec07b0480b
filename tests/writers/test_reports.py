"""report.json in a folder of several cases: each case has one report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gpu_infer.writers import reports
from gpu_infer.writers.reports import write_report


def content(case: str | None, path: str | None = None, **others: Any) -> dict[str, Any]:
    if case is None:
        return {"status": "failed", **others}
    return {"status": "done", "case": case, "input": {"path": path or f"in/{case}.nii"}, **others}


def cases(folder: Path) -> dict[str, Any]:
    """By file name what `content` was given as `run`."""
    return {path.name: json.loads(path.read_text())["run"] for path in folder.iterdir()}


def write(folder: Path, *runs: dict[str, Any]) -> None:
    for number, run in enumerate(runs, start=1):
        assert write_report(folder, run | {"run": number}) == folder / "report.json"


def test_the_same_case_is_replaced(tmp_path: Path) -> None:
    write(tmp_path / "logs", content("a"), content("a"))
    assert cases(tmp_path / "logs") == {"report.json": 2}


def test_another_case_stays_under_its_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    write(tmp_path, content("a"), content("b"), content("c"))
    assert cases(tmp_path) == {"a.report.json": 1, "b.report.json": 2, "report.json": 3}
    assert f"{tmp_path}/report.json: that of case a is now a.report.json" in caplog.text


def test_each_case_has_one_report(tmp_path: Path) -> None:
    write(tmp_path, *map(content, "abcaab"))
    assert cases(tmp_path) == {"c.report.json": 3, "a.report.json": 5, "report.json": 6}


def test_a_run_that_failed_before_its_case_was_known(tmp_path: Path) -> None:
    write(tmp_path, content("a"), content(None), content(None))
    assert cases(tmp_path) == {"a.report.json": 1, "report.json": 3}
    write_report(tmp_path, content("a", run=4))
    assert cases(tmp_path) == {"report.json": 4}


def test_two_inputs_of_one_name(tmp_path: Path) -> None:
    write(tmp_path, *(content("a", f"{folder}/a.nii") for folder in "xyzx"))
    assert cases(tmp_path) == {"a-2.report.json": 2, "a-3.report.json": 3, "report.json": 4}


def test_one_input_with_two_names(tmp_path: Path) -> None:
    write(tmp_path, content("a", "scan.nii"), content("b", "scan.nii"))
    assert cases(tmp_path) == {"a.report.json": 1, "report.json": 2}


def with_map(folder: Path, case: str, **others: Any) -> dict[str, Any]:
    """Content of a report whose label map exists."""
    (folder / "out").mkdir(exist_ok=True)
    path = folder / "out" / f"{case}.nrrd"
    path.touch()
    return content(case, outputs=[{"field": "model", "files": [{"format": "nrrd", "path": str(path)}]}], **others)


def failed(case: str) -> dict[str, Any]:
    return content(case) | {"status": "failed"}


def test_a_failed_run_does_not_replace_the_report_of_a_label_map(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    write(logs, with_map(tmp_path, "a"), failed("a"), failed("a"))
    assert cases(logs) == {"a.report.json": 1, "report.json": 3}
    write_report(logs, content("b", run=4))
    assert cases(logs) == {"a.report.json": 1, "report.json": 4}
    write_report(logs, failed("a") | {"run": 5})
    assert cases(logs) == {"a.report.json": 1, "b.report.json": 4, "report.json": 5}
    write_report(logs, with_map(tmp_path, "a", run=6))
    assert cases(logs) == {"b.report.json": 4, "report.json": 6}


def test_a_failed_run_that_wrote_its_label_map_replaces_the_report(tmp_path: Path) -> None:
    write(tmp_path / "logs", with_map(tmp_path, "a"), with_map(tmp_path, "a") | {"status": "failed"})
    assert cases(tmp_path / "logs") == {"report.json": 2}


def test_a_report_whose_label_map_is_gone_is_replaced(tmp_path: Path) -> None:
    first = with_map(tmp_path, "a")
    (tmp_path / "out/a.nrrd").unlink()
    write(tmp_path / "logs", first, failed("a"))
    assert cases(tmp_path / "logs") == {"report.json": 2}
    (tmp_path / "logs/a.nrrd").touch()  # of a folder that was moved
    write(tmp_path / "logs", first, failed("a"))
    assert json.loads((tmp_path / "logs/a.report.json").read_text())["run"] == 1


def test_dicom_files_of_index_space_count_as_label_maps(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").touch()
    first = content("a", outputs=[{"field": "model", "files": []}], dicom={"files": [str(tmp_path / "a.dcm")]})
    write(tmp_path / "logs", first, failed("a"))
    assert cases(tmp_path / "logs") == {"a.report.json": 1, "report.json": 2}


@pytest.mark.parametrize(
    "odd", [{"outputs": 3}, {"outputs": [3, {"files": 3}, {"files": [3]}]}, {"dicom": {"files": 3}}]
)
def test_odd_reports_have_no_label_maps(tmp_path: Path, odd: dict[str, Any]) -> None:
    write(tmp_path, content("a", **odd), failed("a"))
    assert cases(tmp_path) == {"report.json": 2}


def test_a_file_of_another_program_stays(tmp_path: Path) -> None:
    (tmp_path / "a.report.json").write_text('{"run": "mine"}')
    (tmp_path / "a-2.report.json").mkdir()
    write(tmp_path, content("a"), content("b"))
    (tmp_path / "a-2.report.json").rmdir()
    assert cases(tmp_path) == {"a.report.json": "mine", "a-3.report.json": 1, "report.json": 2}


def test_a_report_of_an_older_version_has_the_name_of_its_input(tmp_path: Path) -> None:
    write(tmp_path, {"input": {"path": "in/scan.nii.gz"}}, content("b"))
    assert cases(tmp_path) == {"scan.report.json": 1, "report.json": 2}


@pytest.mark.parametrize("older", ["{", "[]", '{"input": 3}', '{"case": "../a", "input": {"path": "a"}}', "\xff"])
def test_what_is_no_report_is_replaced(tmp_path: Path, older: str) -> None:
    (tmp_path / "report.json").write_text(older, encoding="latin-1")
    write(tmp_path, content("b"))
    assert cases(tmp_path) == {"report.json": 1}


def test_an_older_report_that_cannot_stay_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    write(tmp_path, content("a"))
    monkeypatch.setattr(reports, "replace_bytes", refuse)
    with pytest.raises(OSError, match="No space left"):
        write_report(tmp_path, content("b"))
    assert cases(tmp_path) == {"report.json": 1}
