"""bench.machine_code: its output for a kernel, and its refusals."""

from __future__ import annotations

import json
import sys

import pytest

from bench import machine_code
from bench.sass.disassembly import find_nvdisasm
from bench.sass.nvrtc import library

COMPILER = pytest.mark.skipif(
    library(13) is None or find_nvdisasm() is None, reason="the extra `nvrtc` is not installed"
)


def _run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["bench.machine_code", *arguments])
    machine_code.main()


@COMPILER
def test_a_kernel_as_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    _run(monkeypatch, "--module", "masked", "--kernel", "^masked_f4_f2$", "--json")
    (kernel,) = json.loads(capsys.readouterr().out)
    assert (kernel["kernel"], kernel["module"]) == ("masked_f4_f2", "masked")
    # two pointers, 12 strides and sizes of 8 bytes, five floats that end at a multiple of 8 bytes
    assert (kernel["parameter_bytes"], kernel["stack_bytes"]) == (2 * 8 + 12 * 8 + 6 * 4, 0)
    # 65536 registers in pieces of 256 per warp, at most 64 warps
    assert kernel["blocks_per_multiprocessor"] == min(8, 65536 // (8 * (-(-kernel["registers"] * 32 // 256) * 256)))
    assert sum(kernel["classes"].values()) == kernel["instructions"]
    # four rows per turn are loaded and stored by the loop of whole rows
    assert any(loop["classes"].get("LDG.32") == loop["classes"].get("STG.16") == 4 for loop in kernel["loops"])


@COMPILER
def test_a_kernel_for_people(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    _run(monkeypatch, "--module", "gather", "--kernel", "f2_f2", "--architecture", "89")
    head, kernel, *loops = capsys.readouterr().out.splitlines()
    assert head.startswith("sm_89, NVRTC 13.")
    assert kernel.startswith("gather_f2_f2: ")
    assert "B parameters" in kernel
    assert loops
    assert all(line.lstrip().startswith("loop at 0x") for line in loops)


@COMPILER
def test_a_name_that_no_kernel_has_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="no kernel's name matches 'nothing'"):
        _run(monkeypatch, "--module", "masked", "--kernel", "nothing")


def test_options_of_the_prediction_go_with_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        _run(monkeypatch, "--readme")
    assert "--before and --readme go with --predict" in capsys.readouterr().err


def test_a_missing_compiler_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_code, "library", lambda major: None)
    with pytest.raises(SystemExit, match=r"no NVRTC of CUDA 12 or no nvdisasm: pip install 'gpu-infer\[nvrtc\]'"):
        _run(monkeypatch, "--cuda", "12")
