"""The GPU check's runner: results that are whole after every step, limits, what a failed step leaves; versions."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cudasim.simulated import simulated_cupy

from deploy.gpu_check import check as gpu_check
from deploy.gpu_check import host as gpu_host
from deploy.gpu_check import main as gpu_main
from deploy.gpu_check import programs as gpu_programs
from deploy.gpu_check.runner import Failed, Runner, Skipped
from deploy.gpu_check.steps import STEPS, Choice


@pytest.fixture
def runner(tmp_path: Path) -> Callable[..., Runner]:
    def make(*names: str, requested: tuple[str, ...] | None = None, **options: Any) -> Runner:
        choice = Choice(list(names), frozenset(names if requested is None else requested))
        return Runner(choice, tmp_path / "work", tmp_path / "results.json", {"rehearsal": False}, **options)

    return make


def written(runner: Runner) -> dict[str, Any]:
    actual: dict[str, Any] = json.loads(runner.results.read_text(encoding="utf-8"))
    return actual


def passes() -> dict[str, int]:
    return {"value": 1}


def fails() -> None:
    raise Failed("as it should")


def test_results_are_whole_before_and_after_every_step(runner: Callable[..., Runner]) -> None:
    check = runner("packages", "device")
    during: list[dict[str, Any]] = []
    check.step("packages", lambda: during.append(written(check)))
    assert during[0]["steps"] == {"packages": {"outcome": "running"}}
    assert (during[0]["ok"], during[0]["complete"]) == (False, False)
    assert written(check)["steps"]["packages"]["outcome"] == "passed"
    assert (written(check)["ok"], written(check)["complete"]) == (False, False)
    check.step("device", passes)
    assert (written(check)["ok"], written(check)["complete"]) == (True, True)
    assert written(check)["steps"]["device"]["value"] == 1
    assert check.summary() == "all passed"
    assert [path.name for path in check.results.parent.glob("results*")] == ["results.json"]


def test_a_failed_step_keeps_its_output_and_what_it_found(runner: Callable[..., Runner]) -> None:
    check = runner("packages")

    def body() -> None:
        check.measured["first"] = 7
        done = check.call("-c", "import sys\nfor n in range(300): print(n)\nsys.exit('wrong here')")
        assert done.returncode == 1
        raise Failed("no good")

    check.step("packages", body)
    step = written(check)["steps"]["packages"]
    assert (step["outcome"], step["why"], step["first"]) == ("failed", "no good", 7)
    assert step["output_tail"] == [*map(str, range(201, 300)), "wrong here"]
    assert written(check)["failed"] == check.failed() == ["packages"]


def test_a_step_that_takes_too_long_is_ended_and_the_next_one_runs(runner: Callable[..., Runner]) -> None:
    check = runner("packages", "triton")
    sleep = "import time; print('begun', flush=True); time.sleep(60)"
    check.step("packages", lambda: check.call("-c", sleep) and None, limit_s=1.5)
    step = written(check)["steps"]["packages"]
    assert "not done within the step's time" in step["why"]
    assert step["output_tail"] == ["begun"]
    check.step("triton", passes)
    assert written(check)["steps"]["triton"]["outcome"] == "passed"
    assert written(check)["complete"]


def test_what_needs_a_failed_step_is_skipped(runner: Callable[..., Runner]) -> None:
    check = runner(*STEPS)
    for name in STEPS:
        check.step(name, fails if name == "device" else passes)
    outcomes = {name: step["outcome"] for name, step in check.steps.items()}
    assert [name for name, outcome in outcomes.items() if outcome == "skipped"] == [
        "job",
        "bench.kernels",
        "tests",
        "bench.volume",
        "sanitizer",
        "counters",
        "bench.uploads",
    ]
    assert check.failed() == ["device", "job", "tests"]
    assert "skipped: job (needs the step device), bench.kernels (needs the step device)" in check.summary()


def test_a_rehearsal_skips_the_device_and_passes(runner: Callable[..., Runner]) -> None:
    check = runner("packages", "device", "triton", "job", waived=gpu_check.REHEARSED)

    def skipped() -> None:
        raise Skipped("a rehearsal")

    for name in check.names:
        check.step(name, skipped if name == "device" else passes)
    assert written(check)["ok"]
    assert written(check)["skipped"] == ["device"]
    assert check.summary() == "all passed; skipped: device (a rehearsal)"


def test_a_bench_that_is_ended_leaves_what_it_has_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_check, "ROOT", tmp_path)
    results = tmp_path / "work" / "bench"
    results.mkdir(parents=True)
    commands: list[tuple[object, ...]] = []

    class Slow(gpu_check.Check):
        def call(self, *command: object, **environment: str) -> subprocess.CompletedProcess[str]:
            commands.append(command)
            (results / "volume.json").write_text('{"unfinished": true, "cases": {}}', encoding="utf-8")
            raise Failed("not done within the step's time")

    choice = Choice(["bench.volume"], frozenset({"bench.volume"}))
    check = Slow(choice, tmp_path / "work", tmp_path / "results.json", {}, rehearse=True)
    check.steps |= {name: {"outcome": "passed"} for name in ("device", "triton")}
    check.step("bench.volume", lambda: check.bench("volume"))
    step = written(check)["steps"]["bench.volume"]
    assert commands == [("-m", "bench.volume", "--device", "cpu", "--quick", "--results", results)]
    assert (step["outcome"], step["result"]) == ("failed", {"unfinished": True, "cases": {}})


def test_skipped_parts_are_in_the_summary(runner: Callable[..., Runner]) -> None:
    check = runner("bench.files")
    check.step("bench.files", lambda: {"result": {"skipped": ["SimpleITK"]}})
    assert check.summary().startswith("all passed; in part: bench.files")


def test_an_earlier_calls_step_is_taken_over_unless_named(runner: Callable[..., Runner]) -> None:
    earlier = {"device": {"outcome": "passed", "device": "card"}, "tests": {"outcome": "passed"}}
    check = runner("device", "tests", requested=("tests",), earlier=earlier)
    check.step("device", fails)
    check.step("tests", passes)
    assert written(check)["steps"]["device"] == {"outcome": "passed", "device": "card", "earlier": True}
    assert written(check)["steps"]["tests"]["value"] == 1
    assert written(check)["ok"]


def test_a_step_for_which_the_call_has_no_time_is_skipped(runner: Callable[..., Runner]) -> None:
    check = runner("memory", "packages", seconds=0.5)
    check.step("memory", passes)
    step = written(check)["steps"]["memory"]
    assert (step["outcome"], step["why"]) == ("skipped", "the call's time is used up: run it again with --steps memory")


def test_the_calls_time_cuts_a_steps_limit(runner: Callable[..., Runner]) -> None:
    check = runner("packages", seconds=20.0)
    limits: list[float] = []
    check.step("packages", lambda: limits.append(check.seconds_left()))
    check.step("packages", lambda: limits.append(check.seconds_left()), limit_s=10.0)
    assert limits[0] <= 20.0 < STEPS["packages"].limit_s
    assert limits[1] <= 10.0


def make_check(tmp_path: Path, *names: str, **options: Any) -> gpu_check.Check:
    choice = Choice(list(names), frozenset(options.pop("requested", names)))
    return gpu_check.Check(choice, tmp_path / "work", tmp_path / "results.json", {}, **options)


def test_the_device_step_holds_a_context_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check, order = make_check(tmp_path, "device", rehearse=False), []

    def call(*command: object) -> subprocess.CompletedProcess[str]:
        order.append("kernels")
        return subprocess.CompletedProcess(command, 0, 'a line of a library\n{"device": "card"}\n', "")

    def hold() -> dict[str, Any]:
        order.append("context")
        return {"context_s": 0.5}

    monkeypatch.setattr(check, "hold_context", hold)
    monkeypatch.setattr(check, "call", call)
    assert check.device() == {"context_s": 0.5, "device": "card"}
    assert order == ["context", "kernels"]


def test_a_later_call_holds_a_context_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    earlier = {"device": {"outcome": "passed"}}
    check, begun = make_check(tmp_path, "device", requested=(), rehearse=False, earlier=earlier), []
    monkeypatch.setattr(check, "hold_context", lambda: begun.append(True))
    gpu_main.run_steps(check)
    assert begun == [True]
    assert check.steps["device"]["earlier"]


@pytest.mark.parametrize(("devices", "expected"), [(0, False), (1, True)])
def test_a_rehearsal_uses_a_device_that_is_there(tmp_path: Path, devices: int, expected: bool) -> None:
    check = make_check(tmp_path, "bench.kernels", "bench.volume", rehearse=True, devices=devices)
    assert check.on_device is expected
    assert ("device" in check.waived) is not expected
    assert check._bench_options("kernels") == ("--quick", "--repeats", "1", "--ramp", "0")
    assert check._bench_options("volume") == ("--device", "gpu" if expected else "cpu", "--quick")
    assert check._bench_options("uploads") == ("--quick", "--repeats", "1")
    assert check._bench_options("files") == ("--no-memory",)
    if not expected:
        for name in ("kernels", "uploads"):
            with pytest.raises(Skipped, match="a rehearsal without a GPU"):
                check.bench(name)


def test_facts_hold_the_hosts_memory() -> None:
    assert gpu_host.facts()["memory"]["MemTotal"] > 0


def test_the_device_step_loads_every_kernel(capsys: pytest.CaptureFixture[str]) -> None:
    """The step's program on a simulated device."""
    with simulated_cupy():
        from gpu_infer.backends.gpu.compile.source import MODULES

        cuda: Any = sys.modules["cupy"].cuda
        cuda.runtime.getDeviceProperties = lambda n: {
            "name": b"card",
            "major": 9,
            "minor": 0,
            "totalGlobalMem": 1 << 30,
            "multiProcessorCount": 4,
        }
        cuda.runtime.runtimeGetVersion = cuda.runtime.driverGetVersion = lambda: 13000
        exec(gpu_programs.DEVICE, {})
    actual = json.loads(capsys.readouterr().out)
    assert (actual["device"], actual["compute_capability"]) == ("card", "9.0")
    assert actual["modules_loaded"] == len(MODULES)


def test_old_and_missing_packages_are_named_with_the_remedy() -> None:
    there = {
        "cupy-cuda13x": "13.4.1",
        "numpy": "2.1.0",
        "grpcio": "1.60.0",
        "onnxruntime-gpu": "1.20",
        "pytest-cov": "5",
    }
    lines = gpu_host.shortcomings(
        ["cupy", "numpy", "grpcio", "onnxruntime", "pytest"],
        there,
        {"cupy": "13.6", "numpy": "1.26", "grpcio": "1.67.1"},
    )
    assert lines == [
        "cupy is 13.4.1, 13.6 or newer is needed: pip install 'cupy-cuda13x>=13.6'",
        "grpcio is 1.60.0, 1.67.1 or newer is needed: pip install 'grpcio>=1.67.1'",
        "pytest is not installed: pip install 'pytest'",
    ]
    assert gpu_host.shortcomings(["cupy"], {"cupy-cuda12x": "14.0.1"}, {"cupy": "13.6"}) == []


def test_least_versions_are_the_projects_and_the_clients() -> None:
    least = gpu_host.least_versions()
    assert (least["numpy"], least["numba"], least["cupy"]) == ("1.26", "0.60", "13.6")
    assert least["grpcio"] == gpu_host.generated_for()
    assert tuple(map(int, least["grpcio"].split("."))) >= (1, 60, 0)


def test_imports_are_tried() -> None:
    done = subprocess.run(
        [sys.executable, "-c", gpu_host.IMPORTS, "numba", "no_such_package"],
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert json.loads(done.stdout) == {"no_such_package": "ModuleNotFoundError: No module named 'no_such_package'"}
