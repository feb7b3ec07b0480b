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

from bench import gpu_check, gpu_host
from bench.gpu_steps import STEPS, Failed, Runner, Skipped, chosen


@pytest.fixture
def runner(tmp_path: Path) -> Callable[..., Runner]:
    def made(*names: str, **options: Any) -> Runner:
        return Runner(names, tmp_path / "work", tmp_path / "results.json", {"rehearsal": False}, **options)

    return made


def written(runner: Runner) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(runner.results.read_text(encoding="utf-8"))
    return found


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
        check.found["first"] = 7
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
        "tests",
        "job",
        "bench.kernels",
        "bench.volume",
    ]
    assert check.failed() == ["device", "tests", "job"]
    assert "skipped: tests (needs the step device), job (needs the step device)" in check.summary()


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
    results = tmp_path / "bench" / "results"
    results.mkdir(parents=True)
    asked: list[tuple[object, ...]] = []

    class Slow(gpu_check.Check):
        def call(self, *command: object, **environment: str) -> subprocess.CompletedProcess[str]:
            asked.append(command)
            (results / "volume.json").write_text('{"unfinished": true, "cases": {}}', encoding="utf-8")
            raise Failed("not done within the step's time")

    check = Slow(["bench.volume"], tmp_path / "work", tmp_path / "results.json", {}, rehearse=True, full=False)
    check.steps |= {name: {"outcome": "passed"} for name in ("device", "triton")}
    check.step("bench.volume", lambda: check.bench("volume"))
    step = written(check)["steps"]["bench.volume"]
    assert asked == [("-m", "bench.volume", "--device", "cpu", "--quick")]
    assert (step["outcome"], step["result"]) == ("failed", {"unfinished": True, "cases": {}})


def test_parts_left_out_stand_in_the_summary(runner: Callable[..., Runner]) -> None:
    check = runner("bench.files")
    check.step("bench.files", lambda: {"result": {"left": ["SimpleITK"]}})
    assert check.summary().startswith("all passed; in part: bench.files")


def test_chosen_steps_bring_what_they_need() -> None:
    assert chosen(None) == list(STEPS)
    assert chosen("bench.transports") == ["packages", "triton", "bench.transports"]
    assert chosen("tests") == ["packages", "device", "triton", "tests"]
    assert chosen("job, bench.files") == ["packages", "device", "triton", "job", "bench.files"]
    with pytest.raises(ValueError, match=r"no step benches; the steps are packages, device"):
        chosen("benches")


def test_what_must_pass_fits_ten_minutes() -> None:
    assert sum(step.limit_s for step in STEPS.values() if step.must) <= 600
    assert [name for name, step in STEPS.items() if step.must] == list(STEPS)[:5]


def test_the_page_has_every_step_with_its_limit() -> None:
    page = (gpu_check.ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1:3] for line in page.splitlines() if line.startswith("| `")]
    listed = {name.strip(" `"): limit.strip() for name, limit in rows}
    assert {name: listed[name] for name in STEPS} == {name: f"{step.limit_s:.0f} s" for name, step in STEPS.items()}


def test_failures_are_read_from_a_run_that_was_ended_too() -> None:
    lines = ["tests/a.py::test_x PASSED [ 1%]", "tests/a.py::test_y FAILED [ 2%]"]
    assert gpu_check.not_passed(lines) == [lines[1]]
    assert gpu_check.not_passed([*lines, "FAILED tests/a.py::test_y - assert 1 == 2"]) == [
        "FAILED tests/a.py::test_y - assert 1 == 2"
    ]


def test_the_device_step_loads_every_kernel(capsys: pytest.CaptureFixture[str]) -> None:
    """The step's program on a simulated device."""
    with simulated_cupy():
        from gpu_infer.backends.gpu_source import MODULES

        cuda: Any = sys.modules["cupy"].cuda
        cuda.runtime.getDeviceProperties = lambda n: {
            "name": b"card",
            "major": 9,
            "minor": 0,
            "totalGlobalMem": 1 << 30,
        }
        cuda.runtime.runtimeGetVersion = cuda.runtime.driverGetVersion = lambda: 13000
        exec(gpu_check._DEVICE, {})
    found = json.loads(capsys.readouterr().out)
    assert (found["device"], found["compute_capability"]) == ("card", "9.0")
    assert found["modules_loaded"] == len(MODULES)


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
        [sys.executable, "-c", gpu_host.IMPORTS, "numba", "no_such_package"], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == {"no_such_package": "ModuleNotFoundError: No module named 'no_such_package'"}
