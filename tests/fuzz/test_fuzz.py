"""The fuzzers' own rules, and a short look with fixed seeds; `make fuzz` looks longer."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import case_runner as cases
import pytest
import run as runner

from gpu_infer.errors import GpuInferError, InputError


def fuzz(tmp_path: Path, act: Callable[[], Any]) -> int:
    def make(rng: random.Random, folder: Path) -> Callable[[], object]:
        (folder / "a").write_bytes(rng.randbytes(10))
        return act

    return cases.run_cases(make, 0.0, 7, tmp_path / "case")


def test_an_error_of_ours_is_a_good_end(tmp_path: Path) -> None:
    def refuse() -> None:
        raise InputError("a: found x, expected y")

    assert fuzz(tmp_path, refuse) == 1
    assert (tmp_path / "case.seed").read_text() == "7\n"


@pytest.mark.parametrize("error", [KeyError("x"), GpuInferError("exit 1"), InputError(" ")])
def test_what_breaks_a_rule_names_its_seed(tmp_path: Path, error: Exception) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(AssertionError, match="seed 7: "):
        fuzz(tmp_path, fail)


def test_memory_is_measured(tmp_path: Path) -> None:
    def take() -> None:
        assert len(bytearray(b"x") * (200 << 20)) > 0

    with pytest.raises(AssertionError, match=r"seed 7: \d+ MiB for files of 10 bytes"):
        fuzz(tmp_path, take)


def test_a_process_that_dies_or_hangs_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "fuzz_dies.py").write_text("import os\ndef main(seconds, seed):\n    os.abort()\n")
    (tmp_path / "fuzz_hangs.py").write_text(
        "import case_runner as cases, time\n"
        "cases.LONGEST_S = 0.2\n"
        "def main(seconds, seed):\n"
        "    return cases.run_cases(lambda rng, folder: lambda: time.sleep(30), 1, seed, cases.workplace('hangs'))\n"
    )
    monkeypatch.setenv("FUZZ_FOLDER", str(tmp_path / "cases"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.setattr(runner, "HERE", tmp_path)
    monkeypatch.setattr(runner, "PATHS", [str(tmp_path), str(Path(cases.__file__).parent)])
    assert runner.kinds() == ["dies", "hangs"]
    assert not runner.run("dies", 1, 3)
    assert not runner.run("hangs", 1, 3)
    out = capsys.readouterr().out
    assert "dies: signal 6" in out
    assert f"hangs: exit 1, seed 3, input in {tmp_path}/cases/hangs" in out
    assert "Timeout" in out


def test_make_fuzz_runs_every_fuzzer_and_nothing_else() -> None:
    assert runner.kinds() == ["configurations", "dicom", "gzip", "headers", "server", "study"]


def test_configurations(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FUZZ_FOLDER", str(tmp_path))
    assert runner.run("configurations", 3, 1), capsys.readouterr().out
