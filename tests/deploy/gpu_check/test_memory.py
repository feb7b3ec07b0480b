"""Host memory in the GPU check: its facts, and touching no more than the host has."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from deploy.gpu_check import memory as gpu_memory
from deploy.gpu_check.memory import memory_facts, touch

ROOT = Path(__file__).resolve().parents[3]
MIB = 1 << 20


def test_facts_are_the_kernels_and_the_file_systems(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:       2000 kB\nMemFree:  1 kB\nMemAvailable:   1500 kB\n")
    facts = memory_facts(meminfo)
    assert (facts["MemTotal"], facts["MemAvailable"]) == (2000 * 1024, 1500 * 1024)
    assert 0 < facts["/tmp"]["free"] <= facts["/tmp"]["size"]
    assert set(facts) == {"MemTotal", "MemAvailable", "/dev/shm", "/tmp"}
    meminfo.write_text("MemTotal:       2000 kB\n")
    assert memory_facts(meminfo)["MemAvailable"] is None


def test_the_target_is_touched() -> None:
    assert touch(10 * MIB, seconds=60, free=lambda: 1 << 40, chunk=MIB) == 10 * MIB


def test_a_host_that_does_not_grow_keeps_its_spare_memory() -> None:
    """100 MiB are free: a quarter stays, and a chunk for each thread that may be taking one at the time."""
    free = 100 * MIB
    handed_out = 0

    def free_bytes() -> int:
        nonlocal handed_out
        handed_out += 1
        return free - (handed_out - 1) * MIB  # each question is followed by at most one chunk

    touched = touch(1 << 40, seconds=60, free=free_bytes, chunk=MIB, growth_s=0.0)
    assert MIB <= touched <= 75 * MIB


def test_a_host_that_grows_when_asked_is_waited_for() -> None:
    answers = iter([8 * MIB, 3 * MIB, 3 * MIB])

    def free_bytes() -> int:
        return next(answers, 1 << 40)

    assert touch(6 * MIB, seconds=60, free=free_bytes, chunk=MIB, growth_s=30.0) == 6 * MIB


def test_the_program_prints_what_was_before_and_after() -> None:
    command = [sys.executable, "-m", "deploy.gpu_check.memory", "--gib", "0.125", "--seconds", "20"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=True)
    printed = json.loads(done.stdout)
    assert printed["touched_bytes"] <= 1 << 27
    assert printed["touched_bytes"] % gpu_memory.CHUNK == 0
    assert printed["before"]["MemTotal"] > 0
    assert printed["after"]["MemAvailable"] > 0
