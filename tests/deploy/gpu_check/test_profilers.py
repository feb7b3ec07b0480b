"""compute-sanitizer and ncu in the GPU check, with stand-ins that print the tools' output."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.gpu_check import profilers as gpu_profilers
from deploy.gpu_check.check import Check
from deploy.gpu_check.steps import Choice

OUT_OF_BOUNDS = """========= COMPUTE-SANITIZER
========= Invalid __global__ write of size 4 bytes
=========     at finish_masks+0x310
=========     by thread (33,0,0) in block (0,0,0)
========= ERROR SUMMARY: 1 error
"""
HAZARD = """========= COMPUTE-SANITIZER
========= Error: Race reported between Write access at extent_f4+0x120
========= RACECHECK SUMMARY: 1 hazard displayed (1 error, 0 warnings)
"""
CSV = """==PROF== Connected to process 12
"ID","Process ID","Process Name","Kernel Name","Section Name","Metric Name","Metric Unit","Metric Value"
"0","12","python3","blend_f4(Blend)","Command line profiler metrics","dram__bytes.sum","Mbyte","1,000.50"
"0","12","python3","blend_f4(Blend)","Command line profiler metrics","launch__occupancy_limit_registers","block","6"
"1","12","python3","blend_f4(Blend)","Command line profiler metrics","dram__bytes.sum","Mbyte","2,001.50"
"2","12","python3","finish_scores","Command line profiler metrics","dram__bytes.sum","Mbyte","n/a"
"""


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)


def test_tools_are_looked_for_on_the_path_and_in_cudas_folders(tmp_path: Path) -> None:
    assert gpu_profilers.find_tool("ncu", path=str(tmp_path), root=tmp_path) is None
    for folder in ("usr/local/cuda-12.9/bin", "usr/local/cuda-13.0/bin", "opt/nvidia/nsight-compute/2025.3.1"):
        program(tmp_path / folder / "ncu", "")
    assert gpu_profilers.find_tool("ncu", path="", root=tmp_path) == str(tmp_path / "usr/local/cuda-13.0/bin/ncu")
    program(tmp_path / "own" / "ncu", "")
    assert gpu_profilers.find_tool("ncu", path=str(tmp_path / "own"), root=tmp_path) == str(tmp_path / "own" / "ncu")


def test_findings_of_complete_and_of_cut_logs() -> None:
    actual = gpu_profilers.sanitizer_findings(OUT_OF_BOUNDS)
    assert actual == {"errors": 1, "complete": True, "first": ["Invalid __global__ write of size 4 bytes"]}
    assert gpu_profilers.sanitizer_findings(HAZARD)["errors"] == 1
    cut = gpu_profilers.sanitizer_findings("\n".join(OUT_OF_BOUNDS.splitlines()[:2]))
    assert (cut["errors"], cut["complete"]) == (1, False)
    clean = gpu_profilers.sanitizer_findings("========= COMPUTE-SANITIZER\n========= ERROR SUMMARY: 0 errors\n")
    assert clean == {"errors": 0, "complete": True, "first": []}
    assert gpu_profilers.sanitizer_findings("") == {"errors": 0, "complete": False, "first": []}


def test_counters_are_means_over_a_kernels_launches() -> None:
    kernels = gpu_profilers.read_counters(CSV.splitlines())
    assert kernels == {
        "blend_f4": {
            "launches": 2,
            "dram__bytes.sum [Mbyte]": 1501.0,
            "launch__occupancy_limit_registers [block]": 6.0,
        }
    }
    assert gpu_profilers.read_counters(["==ERROR== no permission"]) == {}


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    """On a host whose PATH holds the folder `tools` alone, next to the system's."""
    monkeypatch.setenv("PATH", f"{tmp_path / 'tools'}:/usr/bin:/bin")
    monkeypatch.setattr(gpu_profilers, "FOLDERS", ())
    choice = Choice(["sanitizer", "counters"], frozenset())
    check = Check(choice, tmp_path / "work", tmp_path / "results.json", {}, rehearse=False, devices=1)
    check.steps["device"] = {"outcome": "passed"}
    return check


def answer(check: Check, name: str) -> dict[str, object]:
    check.step(name, getattr(check, name), limit_s=60)
    return check.steps[name]


def log_writer(text: Path, status: int = 0) -> str:
    """A shell line that copies `text` to what follows --log-file."""
    return f'while [ "$1" != --log-file ]; do shift; done; cp {text} "$2"; exit {status}'


def test_a_missing_tool_is_a_skip_with_the_reason(check: Check) -> None:
    assert answer(check, "sanitizer")["why"] == "no compute-sanitizer on PATH or in "
    assert answer(check, "counters")["outcome"] == "skipped"
    assert check.failed() == []


def test_an_error_of_the_sanitizer_fails_the_step(check: Check, tmp_path: Path) -> None:
    (tmp_path / "log").write_text(OUT_OF_BOUNDS)
    program(tmp_path / "tools" / "compute-sanitizer", log_writer(tmp_path / "log", 86))
    step = answer(check, "sanitizer")
    assert (step["outcome"], step["why"]) == (
        "failed",
        "memcheck: 1 errors, the first: Invalid __global__ write of size 4 bytes",
    )


def test_both_checks_run_and_a_clean_log_passes(check: Check, tmp_path: Path) -> None:
    (tmp_path / "log").write_text("========= ERROR SUMMARY: 0 errors\n")
    tool = tmp_path / "tools" / "compute-sanitizer"
    program(tool, f'echo "$@" >> {tmp_path}/calls\n' + log_writer(tmp_path / "log"))
    assert answer(check, "sanitizer")["outcome"] == "passed"
    calls = (tmp_path / "calls").read_text().splitlines()
    assert [line.split()[1] for line in calls] == ["memcheck", "racecheck"]
    assert all(" -m gpu " in line and line.endswith("/tests/contract") for line in calls)


def test_a_sanitizer_that_is_ended_says_so(check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "tools" / "compute-sanitizer", "sleep 600")
    monkeypatch.setattr(Check, "seconds_left", lambda self: 1.0)
    step = answer(check, "sanitizer")
    assert step["outcome"] == "passed"
    assert step["incomplete"] == [
        f"{name}: ended at its limit, without an error until then" for name in ("memcheck", "racecheck")
    ]
    assert "in part: sanitizer" in check.summary()


def test_counters_stand_in_the_results(check: Check, tmp_path: Path) -> None:
    (tmp_path / "log").write_text(CSV)
    program(tmp_path / "tools" / "ncu", f'echo "$@" > {tmp_path}/call\n' + log_writer(tmp_path / "log"))
    step = answer(check, "counters")
    assert (step["outcome"], list(step["kernels"])) == ("passed", ["blend_f4"])  # type: ignore[call-overload]
    call = (tmp_path / "call").read_text()
    assert call.startswith("--clock-control none ")
    assert call.rstrip().endswith("-m bench.kernels --quick --once")


def test_forbidden_counters_are_a_skip(check: Check, tmp_path: Path) -> None:
    program(tmp_path / "tools" / "ncu", "echo '==ERROR== ERR_NVGPUCTRPERM - no permission'; exit 1")
    step = answer(check, "counters")
    assert step["why"] == "the driver forbids the counters (ERR_NVGPUCTRPERM)"


def test_a_rehearsal_uses_neither(tmp_path: Path) -> None:
    choice = Choice(["sanitizer"], frozenset())
    rehearsal = Check(choice, tmp_path / "work", tmp_path / "results.json", {}, rehearse=True, devices=1)
    rehearsal.steps["device"] = {"outcome": "passed"}
    assert answer(rehearsal, "sanitizer")["why"] == "a rehearsal: the tool needs a real GPU"
