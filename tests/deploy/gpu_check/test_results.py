"""Results of the GPU check: one set of files per part, logs in every case, and the script."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from deploy.gpu_check.main import Passed
from deploy.gpu_check.picture import draw
from deploy.gpu_check.results import logs_file, pack_logs, results_file

ROOT = Path(__file__).resolve().parents[3]
STEPS = {
    "packages": {"outcome": "passed", "seconds": 3.0, "earlier": True},
    "device": {"outcome": "failed", "seconds": 12.5},
    "tests": {"outcome": "skipped", "seconds": 0.0},
}


def test_a_part_has_names_of_its_own(tmp_path: Path) -> None:
    assert results_file(tmp_path, None) == tmp_path / "gpu_check.json"
    assert results_file(tmp_path, 2) == tmp_path / "gpu_check-2.json"
    assert results_file(tmp_path / "h200.json", None) == tmp_path / "h200.json"
    assert results_file(tmp_path / "h200.json", 3) == tmp_path / "h200-3.json"
    assert logs_file(tmp_path / "gpu_check-2.json") == tmp_path / "gpu_check-2-logs.tgz"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "manifest.json").write_text("{}")
    return folder


def names(archive: Path) -> list[str]:
    with tarfile.open(archive) as tar:
        return sorted(tar.getnames())


def test_logs_hold_the_output_the_reports_and_the_new_results(bundle: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    for name in (
        "logs/job-1.out",
        "job/first/logs/report.json",
        "job/first/lung.raw",
        "cache/kernels.bin",
        "bench/kernels.json",
        "bench/old.json",
        "tests.xml",
    ):
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text(name)
    os.utime(work / "bench/old.json", (1, 1))
    archive = pack_logs(work, bundle, tmp_path / "out" / "logs.tgz")
    assert names(archive) == ["bench/kernels.json", "job/first/logs/report.json", "logs/job-1.out", "tests.xml"]


def test_logs_stay_below_their_limit(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    for number in range(4):
        (tmp_path / "logs" / f"{number}.err").write_bytes(os.urandom(300_000) + b"the last line")
    archive = pack_logs(tmp_path, bundle, tmp_path / "logs.tgz", limit=400_000, tail=200_000)
    assert archive.stat().st_size <= 400_000
    with tarfile.open(archive) as tar:
        member = tar.extractfile("logs/3.err")
        assert member is not None
        content = member.read()
    assert content.startswith(b"(the beginning is left out)\n")
    assert content.endswith(b"the last line")


@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="matplotlib is not installed")
def test_the_picture_is_a_png(tmp_path: Path) -> None:
    assert draw(STEPS, "GPU check", tmp_path / "check.png") is None
    assert (tmp_path / "check.png").read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_there_is_no_picture_and_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    reason = draw(STEPS, "GPU check", tmp_path / "check.png")
    assert reason is not None
    assert reason.startswith("check.png left out: matplotlib cannot be imported")
    assert not (tmp_path / "check.png").exists()


def test_steps_that_passed_count_for_the_same_bundle_and_host(bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "passed.json"

    def passed(**options: object) -> Passed:
        return Passed(path, bundle=bundle, **({"rehearse": False, "devices": 1} | options))  # type: ignore[arg-type]

    first = passed()
    first.add({"device": {"outcome": "passed", "earlier": True, "device": "card"}, "tests": {"outcome": "failed"}})
    assert passed().steps == {"device": {"outcome": "passed", "device": "card"}}
    assert passed(rehearse=True).steps == {}
    assert passed(devices=0).steps == {}
    passed().add({"device": {"outcome": "failed"}})
    assert passed().steps == {}
    passed().add({"device": {"outcome": "passed"}})
    (bundle / "manifest.json").write_text('{"other": "bundle"}')
    assert passed().steps == {}


# -- gpu_check.sh, with a bundle whose check only records its arguments -----------------------------------
CHECK = """
import argparse, json, os, pathlib, sys, time
from deploy.gpu_check.results import results_file
parser = argparse.ArgumentParser()
for name in ("work", "results", "seconds", "steps", "part"):
    parser.add_argument(f"--{name}")
parser.add_argument("--rehearse", action="store_true")
a = parser.parse_args()
logs = pathlib.Path(a.work, "logs")
logs.mkdir(exist_ok=True)
(logs / "tests-1.out").write_text("what a command printed")
path = results_file(pathlib.Path(a.results), int(a.part) if a.part else None)
path.parent.mkdir(parents=True, exist_ok=True)
path.write_text(json.dumps(vars(a) | {"bytecode": not sys.dont_write_bytecode, "path": os.environ["PYTHONPATH"]}))
if a.steps == "hang":
    (logs / "begun").touch()
    time.sleep(600)
sys.exit(1 if a.steps == "fail" else 0)
"""
# Answers as Python 3.12 and as its pip, whatever Python runs this test.
PYTHON = """#!/bin/sh
case "$*" in
    *"%d.%d"*) echo 3.12 ;;
    "-m pip install"*) echo "$@" >> {log}; while [ "$1" != --target ]; do shift; done; mkdir -p "$2" ;;
    *) exec {python} "$@" ;;
esac
"""


class Script:
    """gpu_check.sh with an archive of the toy bundle."""

    def __init__(self, folder: Path) -> None:
        self.work, self.results, self.installs = folder / "work", folder / "results", folder / "installs"
        root = folder / "build" / "gpu-bundle"
        (root / "deploy" / "gpu_check").mkdir(parents=True)
        (root / "wheels").mkdir()
        (root / "wheels" / "some.whl").touch()
        (root / "manifest.json").write_text("{}")
        shutil.copy(ROOT / "deploy" / "gpu_check" / "results.py", root / "deploy" / "gpu_check")
        (root / "deploy" / "gpu_check" / "main.py").write_text(CHECK)
        self.archive = folder / "gpu-bundle.tar.xz"
        with tarfile.open(self.archive, "w:xz") as tar:
            tar.add(root, root.name)
        self.python = folder / "python"
        self.python.write_text(PYTHON.format(log=self.installs, python=sys.executable))
        self.python.chmod(0o755)

    def start(self, *options: object) -> subprocess.Popen[str]:
        places = ["--work", self.work, "--results", self.results]
        command = ["bash", ROOT / "deploy" / "gpu_check" / "gpu_check.sh", self.archive, *places, *options]
        environment = dict(os.environ) | {"PYTHON": str(self.python), "PYTHONPATH": "/host/own"}
        return subprocess.Popen(
            list(map(str, command)), env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8"
        )

    def run(self, *options: object) -> int:
        process = self.start(*options)
        process.communicate(timeout=120)
        return process.returncode


@pytest.fixture
def script(tmp_path: Path) -> Script:
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        pytest.skip("the bundle is for Linux on x86-64")
    return Script(tmp_path)


def test_a_second_call_installs_nothing_and_leaves_the_first_ones_results(script: Script) -> None:
    assert script.run("--part", 1) == 0
    written = (script.results / "gpu_check-1.json").read_bytes()
    (script.work / "gpu-bundle" / "file-of-the-first-call").touch()
    assert script.run("--part", 2) == 0
    assert (script.work / "gpu-bundle" / "file-of-the-first-call").exists()
    assert len(script.installs.read_text().splitlines()) == 1
    assert (script.results / "gpu_check-1.json").read_bytes() == written
    assert sorted(path.name for path in script.results.iterdir()) == [
        "gpu_check-1-logs.tgz",
        "gpu_check-1.json",
        "gpu_check-2-logs.tgz",
        "gpu_check-2.json",
    ]


def test_a_part_has_a_time_of_its_own_and_bytecode_is_compiled(script: Script) -> None:
    assert script.run("--part", 1) == 0
    content = json.loads((script.results / "gpu_check-1.json").read_text())
    assert 300 < int(content["seconds"]) <= 400
    assert content["bytecode"]
    assert "--no-compile" not in script.installs.read_text()
    assert content["path"] == f"{script.work}/site:{script.work}/gpu-bundle/packages:/host/own"


def test_another_archive_is_unpacked_anew(script: Script) -> None:
    assert script.run() == 0
    (script.work / "gpu-bundle" / "old").touch()
    with script.archive.open("ab") as stream:
        stream.write(bytes(4))  # xz allows padding: the same content under another sum
    assert script.run() == 0
    assert not (script.work / "gpu-bundle" / "old").exists()
    assert len(script.installs.read_text().splitlines()) == 2


def test_a_failed_check_leaves_its_logs_and_its_status(script: Script) -> None:
    assert script.run("--steps", "fail") == 1
    assert names(script.results / "gpu_check-logs.tgz") == ["logs/tests-1.out"]
    assert script.work.exists()


def test_a_check_that_is_terminated_leaves_its_logs(script: Script) -> None:
    process = script.start("--steps", "hang")
    deadline = time.monotonic() + 60
    while not (script.work / "logs" / "begun").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 143
    assert "logs/tests-1.out" in names(script.results / "gpu_check-logs.tgz")


def test_an_unknown_part_is_refused(script: Script) -> None:
    process = script.start("--part", "4")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "gpu_check: --part 4: there are parts 1, 2 and 3" in output
