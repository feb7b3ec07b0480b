"""What the GPU check concludes: skipped tests, broken promises, plans that stepped down, models on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deploy.gpu_check import check as gpu_check
from deploy.gpu_check import verdicts as gpu_verdicts
from deploy.gpu_check.check import Check
from deploy.gpu_check.runner import Failed
from deploy.gpu_check.steps import Choice

JUNIT = """<testsuites><testsuite tests="5" failures="1" errors="0" skipped="3">
<testcase classname="tests.a" name="test_passes"/>
<testcase classname="tests.a" name="test_fails"><failure message="no"/></testcase>
<testcase classname="tests.models" name="test_the_device_computes_in_the_slot">
  <skipped message="The models compute on the CPU, to which the server copies every tile: no NVRTC"/></testcase>
<testcase classname="tests.library" name="test_torch"><skipped message="could not import 'torch': none"/></testcase>
<testcase classname="tests.library" name="test_more"><skipped message="this torch has no CUDA"/></testcase>
</testsuite></testsuites>"""


@pytest.fixture
def junit(tmp_path: Path) -> Path:
    path = tmp_path / "tests.xml"
    path.write_text(JUNIT)
    return path


def test_failures_are_read_from_a_run_that_was_ended_too() -> None:
    lines = ["tests/a.py::test_x PASSED [ 1%]", "tests/a.py::test_y FAILED [ 2%]"]
    assert gpu_verdicts.failing_tests(lines) == [lines[1]]
    assert gpu_verdicts.failing_tests([*lines, "FAILED tests/a.py::test_y - assert 1 == 2"]) == [
        "FAILED tests/a.py::test_y - assert 1 == 2"
    ]


def test_counts_and_skips_without_an_excuse(junit: Path) -> None:
    assert gpu_verdicts.test_counts(junit) == {"tests": 5, "failures": 1, "errors": 0, "skipped": 3, "passed": 1}
    assert list(gpu_verdicts.skipped_tests(junit)) == ["tests.models::test_the_device_computes_in_the_slot"]


def report(**changed: Any) -> dict[str, Any]:
    """Of a run on 10×20×30 int16: 12000 bytes up, 6000 bytes of labels down."""
    gpu = {"bytes_up": 12_000, "bytes_down": 6_000, "tile_bytes_up": 0, "tile_bytes_down": 0}
    return {
        "input": {"shape": [10, 20, 30], "channels": 1, "dtype": "<i2"},
        "gpu": gpu | changed,
        "triton": {"data": "cuda_shm"},
        "plan": {"steps": []},
    }


def test_broken_promises_are_named_with_their_numbers() -> None:
    assert gpu_verdicts.broken_promises(report(), 6_000) == ""
    assert gpu_verdicts.broken_promises(report(tile_bytes_up=5), 6_000) == "tile_bytes_up is 5, promised 0"


def make_check(tmp_path: Path, *, rehearse: bool) -> Check:
    choice = Choice(["job"], frozenset({"job"}))
    return Check(choice, tmp_path / "work", tmp_path / "results.json", {}, rehearse=rehearse, devices=1)


def run_of(tmp_path: Path, actual: dict[str, Any]) -> dict[str, Any]:
    (tmp_path / "lung2_image.raw").write_bytes(bytes(6_000))
    return {"folder": str(tmp_path), "report": actual}


def test_a_plan_that_stepped_down_fails_the_job(tmp_path: Path) -> None:
    check, stepped = make_check(tmp_path, rehearse=False), report()
    stepped["plan"]["steps"] = ["slots 2 → 1: 3.0 GiB are free"]
    check._judge_job("first", run_of(tmp_path, report()))
    with pytest.raises(Failed, match=r"first run had too little memory .* another one: slots 2 → 1: 3\.0 GiB are free"):
        check._judge_job("first", run_of(tmp_path, stepped))


def test_a_rehearsal_notes_what_a_real_device_would_fail_for(tmp_path: Path) -> None:
    run = run_of(tmp_path, report(bytes_up=1))
    make_check(tmp_path, rehearse=True)._judge_job("first", run)
    assert run["broken_promises"] == "bytes_up is 1, promised 12000"
    assert run["memory_fallbacks"] == ""


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ({"models_device": "gpu", "notes": []}, None),
        (
            {"models_device": "cpu", "notes": ["Medians.", "The models compute on the CPU, to which …: no NVRTC"]},
            "The models compute on the CPU, to which …: no NVRTC",
        ),
        ({}, "the result does not say that the models computed on the GPU"),
    ],
)
def test_models_on_the_cpu_are_noticed(result: dict[str, Any], reason: str | None) -> None:
    assert gpu_verdicts.models_on_cpu(result) == reason


@pytest.mark.parametrize("rehearse", [False, True])
def test_a_bench_with_models_on_the_cpu_fails_on_a_gpu_host(
    rehearse: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = make_check(tmp_path, rehearse=rehearse)
    (check.work / "bench").mkdir(parents=True)
    content = '{"models_device": "cpu", "notes": ["The models compute on the CPU, …: no NVRTC"]}'

    def call(*_command: object, **_environment: str) -> Any:
        (check.work / "bench" / "transports.json").write_text(content)
        return gpu_check.Runner.call(check, "-c", "")

    monkeypatch.setattr(check, "call", call)
    check._deadline = float("inf")
    if rehearse:
        assert check.bench("transports")["result"]["models_device"] == "cpu"
    else:
        with pytest.raises(Failed, match=r"the models did not compute on the GPU: The models compute on the CPU, …"):
            check.bench("transports")


@pytest.mark.parametrize("rehearse", [False, True])
def test_a_skip_without_an_excuse_fails_the_tests_on_a_gpu_host(
    rehearse: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_check, "ROOT", tmp_path)
    tests = tmp_path / "tests"
    tests.mkdir()
    (tests / "test_some.py").write_text(
        "import pytest\n"
        "pytestmark = pytest.mark.gpu\n"
        "def test_one(): pass\n"
        "def test_two(): pytest.skip('The models compute on the CPU')\n"
    )
    check = make_check(tmp_path, rehearse=rehearse)
    check._deadline = float("inf")
    if rehearse:
        counts = check.tests()
        assert (counts["passed"], counts["skipped"]) == (1, 1)
        assert list(counts["skipped_tests"].values()) == ["The models compute on the CPU"]
    else:
        with pytest.raises(
            Failed, match=r"1 tests skipped that a GPU host must run: .*test_two: The models compute on"
        ):
            check.tests()
