"""The Dask engine with real schedulers and workers, whose cases are those of a stand-in without a server."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from dask_programs import DaskPrograms, dask_programs, environment

from gpu_infer.batch.case import Case
from gpu_infer.batch.engines.dask_engine import DaskEngine
from gpu_infer.batch.job import BatchJob
from gpu_infer.batch.outcome import Outcome
from gpu_infer.errors import ConfigError, Interrupted, ResourceError, ServerError
from gpu_infer.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
STAND_IN = ("--preload", "dask_stand_in")


@pytest.fixture
def dask(tmp_path: Path) -> Iterator[DaskPrograms]:
    with dask_programs(tmp_path / "dask", workers=0) as programs:
        yield programs


def make_cases(folder: Path, *texts: str) -> list[Case]:
    (folder / "in").mkdir()
    paths = [folder / "in" / f"c{n}.nii" for n in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    return [Case(path.stem, (path,)) for path in paths]


def make_job(folder: Path, lanes: int = 1, servers: tuple[str, ...] = ()) -> BatchJob:
    (folder / "out").mkdir(exist_ok=True)
    return BatchJob(Settings(folder / "in", folder / "out", wait_s=30.0), lanes, servers)


def run(dask: DaskPrograms, job: BatchJob, cases: list[Case]) -> dict[str, Outcome]:
    steps: list[tuple[str, str, int, int]] = []
    engine = DaskEngine(str(dask.scheduler))
    outcomes = list(engine.outcomes(job, cases, lambda *step: steps.append(step)))
    assert len({outcome.id for outcome in outcomes}) == len(outcomes)
    assert {step[0] for step in steps} <= {case.id for case in cases}
    return {outcome.id: outcome for outcome in outcomes}


def log_of(job: BatchJob, case: str) -> list[list[str]]:
    return [line.split() for line in (job.output / case / "log").read_text().splitlines()]


def closed(job: BatchJob) -> set[str]:
    path = job.output / "closed"
    return set(path.read_text().split()) if path.exists() else set()


def wait_for(condition: Callable[[], object], seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_cases_in_the_lanes_of_two_workers(
    dask: DaskPrograms, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    dask.start_worker(*STAND_IN), dask.start_worker(*STAND_IN)
    cases = make_cases(tmp_path, *["slow 0.6"] * 8, "failed")
    job = make_job(tmp_path, lanes=2, servers=("a:1", "b:2"))
    with caplog.at_level(logging.INFO, "gpu_infer"):
        outcomes = run(dask, job, cases)
    assert set(outcomes) == {case.id for case in cases}
    assert (outcomes["c8"].status, outcomes["c8"].error, outcomes["c8"].kind) == (
        "failed",
        "the case is broken",
        "input",
    )
    done = [outcome for outcome in outcomes.values() if outcome.status == "done"]
    assert {outcome.report["server"] for outcome in done} == {"a:1", "b:2"}
    assert {outcome.report["lane"] for outcome in done} == {"lane-0", "lane-1"}
    assert closed(job) == {str(worker.pid) for worker in dask.workers}
    assert sum("c3: slow" in message for message in caplog.messages) == 1  # a line of a worker's log
    assert capfd.readouterr() == ("", "")
    assert not list(job.output.glob(".*"))


def test_the_case_that_kills_workers_is_found(dask: DaskPrograms, tmp_path: Path) -> None:
    for _ in range(5):
        dask.start_worker(*STAND_IN)
    cases = make_cases(tmp_path, "slow 3", "die", "die once", "slow 0.2", "ok")
    outcomes = run(dask, make_job(tmp_path, lanes=3), cases)
    assert {name: outcome.status for name, outcome in outcomes.items()} == {
        **dict.fromkeys(("c0", "c2", "c3", "c4"), "done"),
        "c1": "crashed",
    }
    assert (outcomes["c1"].attempts, outcomes["c1"].kind, outcomes["c1"].exit_code) == (2, "crash", 1)
    assert outcomes["c2"].attempts == 2
    assert "2 Dask workers were lost with this case" in str(outcomes["c1"].error)
    assert '"status": "crashed"' in (tmp_path / "out" / "c1" / "case.json").read_text()


def test_a_nanny_replaces_workers(dask: DaskPrograms, tmp_path: Path) -> None:
    dask.start_worker("--nanny", *STAND_IN)
    outcomes = run(dask, make_job(tmp_path, lanes=3), make_cases(tmp_path, "slow 1", "die", "ok"))
    assert {name: outcome.status for name, outcome in outcomes.items()} == {"c0": "done", "c1": "crashed", "c2": "done"}


def test_another_batch_takes_the_workers(dask: DaskPrograms, tmp_path: Path) -> None:
    dask.start_worker(*STAND_IN)
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    first, second = make_job(tmp_path / "first"), make_job(tmp_path / "second")
    cases = make_cases(tmp_path / "first", "slow 60"), make_cases(tmp_path / "second", "ok")
    outcomes: dict[str, Outcome] = {}

    def begin_second(case: str, stage: str, done: int, total: int) -> None:
        if not outcomes:
            outcomes.update(run(dask, second, cases[1]))

    with pytest.raises(ResourceError, match=r"^another batch has begun on the same Dask workers \(run one after"):
        list(DaskEngine(str(dask.scheduler)).outcomes(first, cases[0], begin_second))
    assert outcomes["c0"].status == "done"
    assert log_of(first, "c0")[-1][0] == "given-up"


def test_a_worker_that_comes_later_gets_cases(dask: DaskPrograms, tmp_path: Path) -> None:
    threading.Timer(1.0, dask.start_worker, STAND_IN).start()
    assert run(dask, make_job(tmp_path), make_cases(tmp_path, "ok"))["c0"].status == "done"


def test_workers_that_the_server_stops(dask: DaskPrograms, tmp_path: Path) -> None:
    dask.start_worker(*STAND_IN)
    cases = make_cases(tmp_path, "ok", "server", "ok")
    with pytest.raises(ServerError, match=r"^the server is lost \(start it\)$"):
        run(dask, make_job(tmp_path), cases)
    wait_for(lambda: closed(make_job(tmp_path)))


def test_an_option_that_no_worker_can_use(dask: DaskPrograms, tmp_path: Path) -> None:
    dask.start_worker(*STAND_IN)
    with pytest.raises(ConfigError, match="the option is wrong"):
        run(dask, make_job(tmp_path), make_cases(tmp_path, "config", "ok"))


def test_an_interrupt_gives_cases_up(dask: DaskPrograms, tmp_path: Path) -> None:
    dask.start_worker(*STAND_IN)
    job, cases = make_job(tmp_path, lanes=2), make_cases(tmp_path, "slow 60", "slow 60", "ok")

    def interrupt(case: str, stage: str, done: int, total: int) -> None:
        if stage == "infer" and done > 2:
            raise Interrupted("interrupted by SIGINT")

    with (
        pytest.raises(Interrupted),
        closing(DaskEngine(str(dask.scheduler)).outcomes(job, cases, interrupt)) as outcomes,
    ):
        list(outcomes)
    assert log_of(job, "c0")[-1][0] == log_of(job, "c1")[-1][0] == "given-up"
    assert not (job.output / "c2").exists()
    assert closed(job) == {str(dask.workers[0].pid)}
    assert not list(job.output.glob(".*"))


PARENT = """
import sys
from pathlib import Path
import test_dask_engine as t
from gpu_infer.batch.engines.dask_engine import DaskEngine
folder = Path(sys.argv[1])
cases = [t.Case(path.stem, (path,)) for path in sorted((folder / "in").iterdir())]
print(len(list(DaskEngine(sys.argv[2]).outcomes(t.make_job(folder, 2), cases, lambda *_: None))))
"""


def test_workers_give_up_the_cases_of_a_killed_parent(dask: DaskPrograms, tmp_path: Path) -> None:
    worker = dask.start_worker(*STAND_IN)
    job, cases = make_job(tmp_path), make_cases(tmp_path, "slow 60", "slow 60")
    environ = {**environment(), "PYTHONPATH": f"{environment()['PYTHONPATH']}{os.pathsep}{Path(__file__).parent}"}
    command = [sys.executable, "-c", PARENT, str(tmp_path), str(dask.scheduler)]
    parent = subprocess.Popen(command, env=environ)
    wait_for(lambda: all((job.output / case.id / "log").exists() for case in cases))
    parent.kill()
    parent.wait()
    wait_for(lambda: closed(job), 10.0)
    assert closed(job) == {str(worker.pid)}
    assert log_of(job, "c0")[-1][0] == log_of(job, "c1")[-1][0] == "given-up"
    for case in cases:
        case.inputs[0].write_text("ok")
    assert {outcome.status for outcome in run(dask, job, cases).values()} == {"done"}
    assert not list(job.output.glob(".*"))


def test_a_lost_scheduler_ends_the_batch(dask: DaskPrograms, tmp_path: Path) -> None:
    worker = dask.start_worker(*STAND_IN)
    job, cases = make_job(tmp_path), make_cases(tmp_path, "slow 60", "ok")

    def kill(case: str, stage: str, done: int, total: int) -> None:
        dask.kill_scheduler()

    with pytest.raises(ServerError, match="connection to the Dask scheduler was lost"):
        list(DaskEngine(str(dask.scheduler)).outcomes(job, cases, kill))
    wait_for(lambda: worker.poll() is not None)
    assert log_of(job, "c0")[-1][0] == "given-up"
    assert closed(job) == {str(worker.pid)}
    dask.start_scheduler()
    dask.start_worker(*STAND_IN)
    cases[0].inputs[0].write_text("ok")
    assert {outcome.status for outcome in run(dask, job, cases).values()} == {"done"}


def test_no_scheduler(tmp_path: Path) -> None:
    job, cases = make_job(tmp_path), make_cases(tmp_path, "ok")
    job = BatchJob(Settings(job.settings.input, job.output, wait_s=0.5))
    with pytest.raises(ServerError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9 within 0\.5 s"):
        list(DaskEngine("tcp://127.0.0.1:9").outcomes(job, cases, lambda *_: None))


def test_no_worker(dask: DaskPrograms, tmp_path: Path) -> None:
    cases = make_cases(tmp_path, "ok")
    job = BatchJob(Settings(tmp_path / "in", make_job(tmp_path).output, wait_s=1.5))
    with pytest.raises(ServerError, match=r"^no Dask worker within 1\.5 s \(start workers"):
        run(dask, job, cases)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (None, "cannot be read: No such file"),
        ("{", "has no address of a scheduler"),
        ("[]", "has no address of a scheduler"),
        ('{"address": 1}', "has no address of a scheduler"),
        ("nonsense://x:1", r"nonsense://x:1 cannot be used"),
    ],
)
def test_schedulers_that_cannot_be_used(text: str | None, fault: str, tmp_path: Path) -> None:
    path = tmp_path / "scheduler.json"
    scheduler = str(path)
    if text is not None and "://" in text:
        scheduler = text
    elif text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=fault) as caught:
        list(DaskEngine(scheduler).outcomes(make_job(tmp_path), make_cases(tmp_path, "ok"), lambda *_: None))
    assert "--scheduler: " in str(caught.value)


def test_workers_without_the_folders_are_refused(dask: DaskPrograms, tmp_path: Path) -> None:
    dask.start_worker("--preload", "dask_other_host")
    with pytest.raises(
        ConfigError, match=r"Dask worker tcp://.* does not see .*/out/\.gpu_infer-dask-probe of this host"
    ):
        run(dask, make_job(tmp_path), make_cases(tmp_path, "ok"))


def test_workers_of_another_version_are_refused(
    dask: DaskPrograms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dask.start_worker(*STAND_IN)
    monkeypatch.setattr("gpu_infer.batch.engines.dask_cluster.__version__", "9.9")
    with pytest.raises(ConfigError, match=r"Dask worker tcp://.* has gpu_infer .*, expected 9\.9 as here \(install"):
        run(dask, make_job(tmp_path), make_cases(tmp_path, "ok"))
