"""A worker: outcomes of errors, and when it stops. The session is a stand-in."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jobs import make_case, make_job

from gpu_infer.app import RunResult
from gpu_infer.batch import worker as worker_module
from gpu_infer.batch.case import Case
from gpu_infer.batch.worker import Worker
from gpu_infer.errors import (
    ConfigError,
    DeadlineError,
    DeviceError,
    GpuInferError,
    InputError,
    Interrupted,
    ModelError,
    ModelNotReady,
    ServerError,
)
from gpu_infer.progress import ProgressCallback
from gpu_infer.settings import Settings


class StandIn:
    """A session whose runs write one file, or raise `errors` by case."""

    errors: dict[str, BaseException]

    def __init__(self, settings: Settings, *, host_bytes: int | None = None, clients: int = 1) -> None:
        self.closed = False

    def __enter__(self) -> StandIn:
        return self

    def __exit__(self, *error: object) -> None:
        self.closed = True

    def open(self) -> None:
        """There is no server."""

    def run(self, settings: Settings, progress: ProgressCallback | None) -> RunResult:
        name = settings.output.name
        assert settings.logs == settings.output
        if (error := self.errors.get(name)) is not None:
            raise error
        settings.output.mkdir(parents=True, exist_ok=True)
        output = settings.output / f"{name}.mhd"
        output.write_text("labels")
        data = {
            "input": {"path": str(settings.input), "files": [str(settings.input)], "sha256": "0"},
            "labels": {"1": {"name": "liver", "colour": "#aabbcc", "ml": 2.5, "voxels": 2500}},
            "model": {"name": "m", "version": "7", "platform": "p"},
            "plan": "not for the summary",
        }
        return RunResult(output, None, None, data, label_maps=[output])


Make = Callable[..., Worker]


@pytest.fixture
def make_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    def make(**errors: BaseException) -> Worker:
        StandIn.errors = errors
        monkeypatch.setattr(worker_module, "Session", StandIn)
        return Worker(make_job(tmp_path))

    return make


def record(root: Path, case: Case) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((root / "out" / case.id / "case.json").read_text())
    return content


def test_a_done_case(tmp_path: Path, make_worker: Make) -> None:
    worker, case = make_worker(), make_case(tmp_path)
    outcome = worker.run(case, attempts=2)
    assert (outcome.status, outcome.kind, outcome.exit_code, outcome.attempts) == ("done", None, 0, 2)
    assert outcome.labels == {"1": {"name": "liver", "ml": 2.5, "voxels": 2500}}
    assert "plan" not in outcome.report
    content = record(tmp_path, case)
    assert (content["files"], content["model"], content["attempts"]) == (["a.mhd"], {"name": "m", "version": "7"}, 2)


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (InputError("broken", remedy="fix it"), "input", 3),
        (ConfigError("taken"), "config", 2),
        (ModelError("one channel"), "model", 4),
        (ModelNotReady("not loaded"), "server", 4),
        (DeadlineError("too late"), "server", 4),
        (DeviceError("launch"), "resource", 5),
        (MemoryError(), "resource", 5),
        (OSError(28, "No space left on device"), "resource", 5),
        (ZeroDivisionError("division\nby zero"), "unexpected", 1),
    ],
)
def test_a_failure_is_recorded_with_its_kind(
    tmp_path: Path, make_worker: Make, error: BaseException, kind: str, code: int
) -> None:
    worker, case = make_worker(a=error), make_case(tmp_path)
    outcome = worker.run(case)
    assert (outcome.status, outcome.kind, outcome.exit_code) == ("failed", kind, code)
    assert outcome.error is not None
    assert "\n" not in outcome.error
    content = record(tmp_path, case)
    assert (content["status"], content["error"], content["kind"]) == ("failed", outcome.error, kind)


def test_two_errors_of_the_server_in_a_row_stop_the_worker(tmp_path: Path, make_worker: Make) -> None:
    worker = make_worker(b=ServerError("gone"), c=InputError("broken"), d=DeviceError("lost"))
    a, b, c, d = (make_case(tmp_path, name) for name in "abcd")
    assert [worker.run(case).status for case in (b, a, b, c)] == ["failed", "done", "failed", "failed"]
    with pytest.raises(DeviceError, match="lost"):
        worker.run(d)
    assert not (tmp_path / "out/d").exists()


def test_broken_cases_do_not_stop_the_worker(tmp_path: Path, make_worker: Make) -> None:
    worker = make_worker(**{name: InputError("broken") for name in "abc"})
    assert [worker.run(make_case(tmp_path, name)).kind for name in "abc"] == ["input"] * 3


@pytest.mark.parametrize("error", [ConfigError("no GPU"), ModelError("three channels")])
def test_one_error_of_all_first_cases_stops_the_worker(tmp_path: Path, make_worker: Make, error: GpuInferError) -> None:
    worker = make_worker(**dict.fromkeys("abc", error))
    assert [worker.run(make_case(tmp_path, name)).status for name in "ab"] == ["failed"] * 2
    with pytest.raises(type(error), match=str(error)):
        worker.run(make_case(tmp_path, "c"))
    assert sorted(path.parent.name for path in tmp_path.glob("out/*/case.json")) == ["a", "b"]


def test_errors_that_differ_or_come_after_a_case_is_done_do_not(tmp_path: Path, make_worker: Make) -> None:
    differ = {name: ConfigError(f"{name}: taken") for name in "abcd"}
    assert [make_worker(**differ).run(make_case(tmp_path, name)).kind for name in "abcd"] == ["config"] * 4
    worker = make_worker(**dict.fromkeys("bcde", ModelError("three channels")))
    assert worker.run(make_case(tmp_path, "a")).status == "done"
    assert [worker.run(make_case(tmp_path, name)).kind for name in "bcde"] == ["model"] * 4


def test_the_uid_of_a_series_is_not_in_the_error(tmp_path: Path, make_worker: Make) -> None:
    case = replace(make_case(tmp_path), series="1.2.840.5")
    outcome = make_worker(a=InputError("scans: series 1.2.840.5 has gaps")).run(case)
    assert outcome.error == "scans: series the case's series has gaps"
    assert "1.2.840" not in (tmp_path / "out/a/case.json").read_text()


@pytest.mark.parametrize("error", [Interrupted("now"), KeyboardInterrupt()])
def test_a_case_that_is_given_up_has_no_state(tmp_path: Path, make_worker: Make, error: BaseException) -> None:
    case = make_case(tmp_path)
    assert make_worker().run(case).status == "done"
    with pytest.raises(type(error)):
        make_worker(a=error).run(case)
    assert not (tmp_path / "out/a/case.json").exists()


def test_another_programs_file_is_not_replaced(tmp_path: Path, make_worker: Make) -> None:
    case = make_case(tmp_path)
    (tmp_path / "out/a").mkdir(parents=True)
    (tmp_path / "out/a/case.json").write_text('{"patient": 1}')
    outcome = make_worker().run(case)
    assert (outcome.status, outcome.kind) == ("failed", "config")
    assert (tmp_path / "out/a/case.json").read_text() == '{"patient": 1}'


def test_lines_of_the_log_name_the_case(tmp_path: Path, make_worker: Make, capfd: pytest.CaptureFixture[str]) -> None:
    from gpu_infer import logs

    logs.configure(tmp_path / "logs")
    make_worker(b=InputError("broken")).run(make_case(tmp_path, "b"))
    lines = (tmp_path / "logs/gpu_infer.log").read_text().splitlines()
    assert lines[-1].endswith("WARNING gpu_infer.batch.worker: b: failed: broken")
    assert capfd.readouterr().err.splitlines()[-1] == lines[-1]


def test_a_configuration_that_cannot_be_used_is_refused_at_once(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    job.settings.config.write_text("{}")
    with pytest.raises(GpuInferError) as caught:
        Worker(job)
    assert caught.value.exit_code == 2


def test_outputs_of_another_input_are_not_among_those_of_a_failed_case(tmp_path: Path, make_worker: Make) -> None:
    case = make_case(tmp_path)
    folder = tmp_path / "out" / case.id
    with make_worker() as worker:
        worker.run(case)
    (folder / "notes.txt").write_text("of the user")
    (folder / "a.mhd").write_text("old labels")
    with make_worker(a=InputError("cut")) as worker:
        assert worker.run(case).status == "failed"
    assert sorted(path.name for path in folder.iterdir()) == ["case.json", "earlier", "notes.txt"]
    assert (folder / "earlier/a.mhd").read_text() == "old labels"
    with make_worker() as worker:
        assert worker.run(case).status == "done"
        assert worker.run(case).status == "done"
    assert sorted(path.name for path in folder.iterdir()) == ["a.mhd", "case.json", "notes.txt"]
    assert (folder / "a.mhd").read_text() == "labels"


def test_a_worker_without_its_model_touches_no_case(
    tmp_path: Path, make_worker: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: StandIn) -> None:
        raise ModelError("model nomodel is not on the server")

    closed: list[bool] = []
    make_worker().close()
    monkeypatch.setattr(StandIn, "open", refuse)
    monkeypatch.setattr(StandIn, "__exit__", lambda *_: closed.append(True))
    with pytest.raises(ModelError, match="nomodel"):
        make_worker()
    assert closed == [True]


def test_files_of_custom_writers_belong_to_the_state(tmp_path: Path) -> None:
    output, own = tmp_path / "a.mhd", tmp_path / "a.boxes.csv"
    assert worker_module._files(RunResult(output, None, None, {}, label_maps=[output], own=[own])) == [output, own]


def test_the_record_has_each_of_several_models(
    tmp_path: Path, make_worker: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = [{"name": name, "version": "1", "platform": "p", "weight": 0.5} for name in ("m", "n")]
    run = StandIn.run

    def with_models(self: StandIn, settings: Settings, progress: ProgressCallback | None) -> RunResult:
        result = run(self, settings, progress)
        result.data["model"] = {**models[0], "combine": "mean", "models": models}
        return result

    monkeypatch.setattr(StandIn, "run", with_models)
    case = make_case(tmp_path)
    assert make_worker().run(case).status == "done"
    both = [{"name": "m", "version": "1"}, {"name": "n", "version": "1"}]
    assert record(tmp_path, case)["model"] == {**both[0], "models": both}
