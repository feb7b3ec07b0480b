"""`gpu-infer batch`: its folders and job, the line of its progress, the table at its end, the dry run."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from batch_runs import BatchRun
from jobs import make_case, make_job, write_done

from gpu_infer.batch.case import Case
from gpu_infer.batch.inputs import look_at
from gpu_infer.batch.outcome import Outcome
from gpu_infer.batch.run_batch import BatchResult
from gpu_infer.batch.summary import make_summary
from gpu_infer.cli.batch_progress import BatchWatcher
from gpu_infer.cli.batch_settings import Folders, batch_choices, batch_folders
from gpu_infer.cli.batch_table import result_lines
from gpu_infer.cli.main import main
from gpu_infer.errors import CasesFailed, ConfigError, ResourceError, ServerError

IN, OUT = "NVIDIA_CLARA_INPUT", "NVIDIA_CLARA_OUTPUT"


@pytest.mark.parametrize(
    ("paths", "source", "output", "environ", "sources", "folder"),
    [
        (["in", "out"], None, None, {}, ["in"], "out"),
        (["a.nii", "b.nii", "out"], None, None, {}, ["a.nii", "b.nii"], "out"),
        (["a.nii", "b.nii"], None, "out", {}, ["a.nii", "b.nii"], "out"),
        (None, "in", "out", {}, ["in"], "out"),
        (["in"], None, None, {OUT: "out"}, ["in"], "out"),
        (None, None, None, {IN: "in", OUT: "out"}, ["in"], "out"),
        (None, "x", None, {IN: "in", OUT: "out"}, ["x"], "out"),
        (None, None, None, {"GPU_INFER_CONTAINER": "1"}, ["/input"], "/output"),
    ],
)
def test_arguments_options_and_variables_name_the_folders(
    paths: Any, source: Any, output: Any, environ: dict[str, str], sources: list[str], folder: str
) -> None:
    options = {"paths": paths, "input": source, "output": output}
    assert batch_folders(options, environ) == Folders(sources, Path(folder))


@pytest.mark.parametrize(
    ("paths", "source", "output", "message"),
    [
        (None, None, "out", "found no cases to read, expected --input or NVIDIA_CLARA_INPUT"),
        (["in"], None, None, "found no folder to write to, expected --output or NVIDIA_CLARA_OUTPUT"),
        (["in"], "in", "out", "found in and --input in, expected one of the two"),
        (["", "out"], None, None, "found an empty path"),
    ],
)
def test_folders_that_are_missing_or_named_twice(paths: Any, source: Any, output: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        batch_folders({"paths": paths, "input": source, "output": output}, {})


def test_the_last_of_many_arguments_is_no_input(tmp_path: Path) -> None:
    """A shell makes three studies of `studies/*`: the third one is not meant as the output."""
    paths = [str(tmp_path / name) for name in "abc"]
    for path in paths:
        Path(path).mkdir()
    options = {"paths": paths, "input": None, "output": None}
    assert batch_folders(options, {}).output == tmp_path / "c"  # empty: a new folder for results
    (tmp_path / "c/slice.dcm").touch()
    with pytest.raises(ConfigError, match=r"the last argument, .*/c, would be the output folder"):
        batch_folders(options, {})
    assert batch_folders({**options, "output": "out"}, {}).output == Path("out")
    (tmp_path / "c/status.csv").touch()  # of an earlier batch
    assert batch_folders(options, {}).output == tmp_path / "c"


Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["gpu-infer", "batch", *arguments])
        code = main()
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--workers", "0"], "--workers: found 0, expected 1 to 1024"),
        (["--lanes", "2000"], "--lanes: found 2000, expected 1 to 1024"),
        (["--part", "3/2"], "--part: found '3/2', expected i/n"),
        (["--part", "1/2", "--parts", "2"], "--part contradicts --parts"),
        (["--parts", "2"], "--parts: found neither variable"),
        (["--slots", "0"], "--slots: found 0"),
        (["--quiet", "--verbose"], "--quiet contradicts --verbose"),
        (["--config", "nowhere.json"], "nowhere.json"),
    ],
)
def test_options_that_cannot_be_used(tmp_path: Path, command: Command, options: list[str], message: str) -> None:
    run = BatchRun(tmp_path, "127.0.0.1:1", 1, "threshold_half")
    code, _, err = command(str(run.source), str(run.output), *options)
    assert code == 2
    assert message in err
    assert len(err.splitlines()) == 1


def test_an_output_that_is_a_file(tmp_path: Path, command: Command) -> None:
    code, _, err = command("-i", str(tmp_path), "-o", str(tmp_path / "a.nii"))
    assert (code, "a.nii', a file, expected a folder" in err) == (2, True)


def test_a_batch_waits_for_no_debugger(tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEBUG_VSCODE", "TRUE")
    code, _, err = command(str(tmp_path), str(tmp_path / "out"))
    assert (code, "DEBUG_VSCODE: a batch waits for no debugger" in err) == (2, True)


def test_a_dry_run_shows_states_and_the_plan_of_each_shape(tmp_path: Path, command: Command) -> None:
    run = BatchRun(tmp_path, "127.0.0.1:1", 5, "threshold_half")
    (run.source / "a.nii.gz").write_bytes(b"nonsense")
    models = ("--models", str(Path(__file__).parents[1] / "models"), "--triton", "local")
    arguments = (str(run.source), str(run.output), "--config", str(run.config), "--dry-run")
    code, out, err = command(*arguments, *models)
    assert code == 0, err
    lines = out.splitlines()
    assert lines[0].startswith(f"todo    a: {run.source / 'a.nii.gz'}  ")
    assert lines[1].startswith(f"todo    case00: {run.source / 'case00.nii.gz'}  8×8×8 voxels of 1×1×1 mm, 1 × float32")
    assert sum(line.startswith("8×8×") for line in lines) == 4  # of 5 cases, two have the same shape
    assert sum("windows" in line for line in lines) == 4
    assert lines[-1] == "6 cases: 6 todo"
    assert not run.output.exists()
    report = json.loads(command(*arguments, *models, "--json", "--part", "1/3")[1])
    assert [row["id"] for row in report["cases"]] == ["a", "case02"]


def test_the_line_of_progress() -> None:
    now = [0.0]
    drawn: list[tuple[int, int, str]] = []
    watcher = BatchWatcher(lambda *state: drawn.append(state), lambda: now[0])
    watcher.begin([Outcome("old", "done", skipped=True)], 4)
    assert drawn[-1] == (0, 4, "0/4 cases")
    watcher.progress("a", "infer", 3, 12)
    watcher.progress("b", "read", 0, 1)
    assert drawn[-1][2] == "0/4 cases  a (infer 25 %), b (read)"
    now[0] = 90.0
    watcher.outcome(Outcome("a", "failed"))
    assert drawn[-1] == (1, 4, "1/4 cases, 1 failed, 40 per hour, 4 min left  b (read)")
    for name in "bcd":
        watcher.outcome(Outcome(name, "done"))
    assert drawn[-1][2] == "4/4 cases, 1 failed, 160 per hour"


def test_many_cases_in_work_are_counted() -> None:
    watcher = BatchWatcher(None)
    watcher.begin([], 9)
    for n in range(6):
        watcher.progress(f"c{n}", "read", 0, 1)
    assert watcher.line() == "0/9 cases  c0 (read), c1 (read), c2 (read), c3 (read) and 2 more"


def test_the_table_shows_failures_first_and_has_about_20_lines(tmp_path: Path) -> None:
    failed = [Outcome(f"f{n:02}", "failed", error="x" * 500, kind="input", exit_code=3) for n in range(30)]
    labels = {str(n): {"name": f"organ {n}", "ml": 2.0 * n} for n in range(40)}
    outcomes = [Outcome("a", "done", labels=labels, seconds=2.0), *failed]
    cases = [Case(outcome.id, ()) for outcome in outcomes]
    lines = result_lines(BatchResult(outcomes, make_summary(cases, outcomes, 36.0, "c")), tmp_path)
    assert len(lines) <= 20
    assert lines[0].startswith("failed   f00: xxx")
    assert max(map(len, lines[:8])) <= 160
    assert lines[8] == f"… and 22 more failures: {tmp_path / 'status.csv'}"
    assert "cases    1 done, 30 failed, 31 in all" in lines
    assert "batch    31 run in 36 s, 3100 per hour; 0 skipped" in lines
    assert "label    organ 1: 2 ml, in 1 case" in lines


def label_line(*volumes: float | None) -> str:
    """The line of label 3, with one case for each volume; 0.0: the case does not have it."""
    outcomes = [
        Outcome(str(n), "done", labels={} if ml == 0.0 else {"3": {"name": "liver", "ml": ml}}, seconds=1.0)
        for n, ml in enumerate(volumes)
    ]
    summary = make_summary([Case(outcome.id, ()) for outcome in outcomes], outcomes, 36.0, "c")
    (line,) = [line for line in result_lines(BatchResult(outcomes, summary), Path()) if line.startswith("label ")]
    return line


@pytest.mark.parametrize(
    ("volumes", "text"),
    [
        ([29801.4], "29801 ml, in 1 case"),
        ([29801.4, 29801.4], "29801 ml, in 2 cases"),
        ([1500.6, 2500.2, 0.25], "1334 ml on average, 0.25 to 2500 ml, in 3 cases"),
        ([0.0, 12.0], "6 ml on average, 0 to 12 ml, in 1 of 2 cases"),
        ([100.1, 100.2], "100 ml, in 2 cases"),
        ([None, None], "volume not known (index space), in 2 cases"),
    ],
)
def test_volumes_are_printed_as_run_does(volumes: list[float | None], text: str) -> None:
    assert label_line(*volumes) == f"label    liver: {text}"


def test_one_more_failure_and_label(tmp_path: Path) -> None:
    labels = {str(n): {"name": f"organ {n}", "ml": 2.0} for n in range(1, 8)}
    outcomes = [Outcome("a", "done", labels=labels, seconds=2.0), *(Outcome(f"f{n}", "failed") for n in range(9))]
    cases = [Case(outcome.id, ()) for outcome in outcomes]
    lines = result_lines(BatchResult(outcomes, make_summary(cases, outcomes, 36.0, "c")), tmp_path)
    assert f"… and 1 more failure: {tmp_path / 'status.csv'}" in lines
    assert "… and 1 more label" in lines


def failures(*kinds: str) -> BatchResult:
    codes = {"input": 3, "server": 4, "resource": 5, "crash": 137}
    outcomes = [Outcome(kind, "failed", kind=kind, error="why", exit_code=codes[kind]) for kind in kinds]
    return BatchResult([Outcome("a", "done"), *outcomes])


def test_the_end_of_a_batch(tmp_path: Path) -> None:
    failures().raise_failure(tmp_path)
    for kinds, error, code in (
        (["input"], CasesFailed, 6),
        (["server", "crash"], CasesFailed, 6),
        (["server"], ServerError, 4),
        (["server", "resource"], ResourceError, 5),
    ):
        with pytest.raises(
            error, match=rf"^{len(kinds)} of {len(kinds) + 1} cases failed, the last one with: why"
        ) as end:
            failures(*kinds).raise_failure(tmp_path)
        assert end.value.exit_code == code
    stopped = failures("input")
    stopped.error = ServerError("gone")
    with pytest.raises(ServerError, match=r"^gone$"):
        stopped.raise_failure(tmp_path)


def test_choices() -> None:
    assert batch_choices(force=True, retry_failed=False, part=None, parts=None).part is None


def test_a_batch_without_anything_to_do_needs_no_server(tmp_path: Path, command: Command) -> None:
    job, case = make_job(tmp_path), make_case(tmp_path)
    write_done(job, case, [look_at(case.inputs[0])], "0", [case.inputs[0]])
    code, out, err = command(str(tmp_path / "in"), str(job.output), "--config", str(job.settings.config))
    assert code == 0, err
    assert out.splitlines()[:2] == ["cases    1 done, 1 in all", f"batch    {out.splitlines()[1][9:]}"]
    assert (job.output / "status.csv").read_text().startswith("id,status,")
    assert np.isclose(json.loads((job.output / "summary.json").read_text())["labels"]["1"]["ml"]["mean"], 1.5)
