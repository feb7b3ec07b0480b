"""bench.volume: the table's figures from the operator's report, and the entry of a side without figures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from bench import volume
from bench.sides import volume_peer
from bench.sides.monai_memory import DoesNotFit, grid_of, least_bytes, out_of_memory
from bench.sides.volume_case import CASES, QUICK, Case
from bench.sides.volume_facts import timed_run
from bench.sides.volume_operator import summary
from bench.sides.volume_peer import LeftOut, PeerMissing, agreement, read_answer, why_left_out
from bench.support.served import MODELS_GPU
from bench.support.server_time import ServerSeconds

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_cases_keep_what_the_operator_reports(tmp_path: Path) -> None:
    result = volume.run("cpu", (Case((48, 40, 36)),), roi=(24, 24, 24), peers=False, folder=tmp_path)
    written = json.loads((tmp_path / "volume.json").read_text(encoding="utf-8"))
    facts = written["cases"]["48×40×36"]["gpu_infer"]
    assert [row[:2] for row in result.rows] == [
        ["48×40×36", "gpu_infer"],
        ["48×40×36", "gpu_infer (first case of a process)"],
    ]
    assert facts["first_run"]["process_s"] > facts["first_run"]["seconds"]
    assert (facts["device"], facts["peak_device_bytes"]) == ("cpu", None)
    assert (facts["control"], facts["data"]) == ("http", "system_shm")
    assert {"read", "prepare", "infer", "restore", "write"} <= facts["stages"].keys()
    assert facts["windows"] > 1
    assert facts["model_s"] > 0
    assert facts["server_input_s"] >= 0  # of small tiles, less than the digits of a second
    assert facts["server_output_s"] >= 0
    assert facts["non_model_non_file_non_copy_s"] <= facts["non_model_non_file_s"]
    assert facts["peak_host_bytes"] > 50 << 20
    assert "labels" not in facts
    row = written["table"][0]
    assert (row["whole, ratio"], row["all but model, ratio"], row["labels equal"]) == ("1.0×", "1.0×", "")
    assert result.notes[-2:] == ["Left out: MONAI: --no-peers.", "The models compute on the CPU."]
    assert written["skipped"] == ["MONAI: --no-peers"]


def test_bars_compare_the_sides_of_a_case() -> None:
    stages = {"read": 0.5, "prepare": 0.0, "infer": 1.2, "restore": 0.02, "write": 0.1}
    ours, monai = ({"seconds": n * 2.0, "rest_s": n * 1.0, "stages": stages} for n in (1, 3))
    sides = {"gpu_infer": ours, "MONAI": monai}
    assert volume.chart_groups("256³", sides) == {
        "256³, whole": {"gpu_infer": 2.0, "MONAI": 6.0},
        "256³, infer": {"gpu_infer": 1.2, "MONAI": 1.2},
        "256³, restore": {"gpu_infer": 0.02, "MONAI": 0.02},
        "256³, all but model": {"gpu_infer": 1.0, "MONAI": 3.0},
    }
    sides["MONAI"] = {"left_out": "does not fit"}
    assert volume.chart_groups("256³", sides)["256³, whole"] == {"gpu_infer": 2.0}


def test_shares_come_from_the_report() -> None:
    report = {
        "device": "gpu",
        "triton": {"control": "http", "data": "cuda_shm"},
        "seconds": 2.0,
        "stages": {"read": 0.5, "prepare": 0.01, "infer": 1.2, "restore": 0.02, "write": 0.1},
        "tiles": {"windows": 4},
        "peak_rss_bytes": 7,
        "memory": {},
        "gpu": {"peak_device_bytes": 9},
    }
    actual = summary(report, ServerSeconds(0.02, 1.0, 0.03))
    assert (actual["model_s"], actual["server_input_s"], actual["server_output_s"]) == (1.0, 0.02, 0.03)
    assert (actual["rest_s"], actual["non_model_share"], actual["non_model_non_file_s"]) == (1.0, 0.5, 0.23)
    assert actual["non_model_non_file_non_copy_s"] == 0.18
    assert (actual["peak_host_bytes"], actual["peak_device_bytes"]) == (7, 9)


def test_seconds_of_the_server_are_differences() -> None:
    assert ServerSeconds(3.0, 5.0, 7.0) - ServerSeconds(1.0, 2.0, 4.0) == ServerSeconds(2.0, 3.0, 3.0)


def test_the_last_case_has_105_classes_and_no_other() -> None:
    assert [case.many for case in CASES] == [False, False, False, False, True]
    assert [case.shape for case in QUICK] == [(256, 256, 256), (512, 512, 300)]
    assert (CASES[-1].model, CASES[-1].spacing, CASES[0].spacing) == ("classes105", None, (1.0, 1.0, 1.0))
    assert "roi_size" not in CASES[-1].config((8, 8, 8))["inferer"]["args"]


# -- sides in the table --------------------------------------------------------------------------------------------
def facts_of(seconds: float, model: float, **others: Any) -> dict[str, Any]:
    stages = {"read": 0.1, "prepare": 0.2, "infer": seconds - 0.6, "restore": 0.2, "write": 0.1}
    run = {
        **timed_run(seconds, stages, ServerSeconds(0.0, model, 0.0)),
        "windows": 8,
        "peak_host_bytes": 3 << 20,
        "peak_device_bytes": None,
    }
    return {**run, "counted": "second run", "first_run": {**run, "process_s": seconds + 3.0}, **others}


@pytest.fixture
def two_cases(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The table of two cases with invented runs of the operator and the answers of MONAI's side."""

    class Server:
        http = grpc = "nowhere"
        models = (MODELS_GPU,)

        def __enter__(self) -> tuple[Server, str]:
            return self, "The models compute nowhere."

        def __exit__(self, *arguments: object) -> None:
            pass

    monkeypatch.setattr(volume, "served", lambda backend: Server())
    monkeypatch.setattr(volume, "why_left_out", lambda device, peers: None)
    monkeypatch.setattr(volume, "operator_side", lambda *_: (facts_of(2.0, 1.0), Path("ours.mhd")))
    monkeypatch.setattr(volume, "agreement", lambda *_: {"equal_share": 0.9912, "dice": 0.98})

    def run(*answers: Any) -> tuple[list[dict[str, str]], dict[str, Any]]:
        remaining = iter(answers)

        def side(*arguments: Any, **options: Any) -> tuple[dict[str, Any], Path]:
            answer = next(remaining)
            if isinstance(answer, Exception):
                raise answer
            return answer, Path("monai.nii")

        monkeypatch.setattr(volume, "monai_side", side)
        volume.run("cpu", (Case((8, 7, 6)), Case((6, 7, 8))), folder=tmp_path)
        written = json.loads((tmp_path / "volume.json").read_text(encoding="utf-8"))
        return written["table"], written

    return run


def test_a_row_per_side_and_ratios(two_cases: Any) -> None:
    table, written = two_cases(facts_of(11.0, 2.0), facts_of(401.0, 1.0, counted="first run"))
    first = " (first case of a process)"
    assert [(row["case"], row["side"]) for row in table] == [
        (case, f"{side}{run}")
        for case, long in (("8×7×6", ""), ("6×7×8", " (first run)"))
        for side, run in (("gpu_infer", ""), ("gpu_infer", first), ("MONAI", long), ("MONAI", first))
    ]
    ours, ours_first, theirs, theirs_first = table[:4]
    long = table[6]
    assert (ours_first["whole"], ours_first["all but model"]) == ("5.00 s", "4.00 s, 80%")
    assert (theirs_first["whole"], theirs_first["whole, ratio"]) == ("14.00 s", "2.8×")
    assert (ours["all but model"], theirs["all but model"]) == ("1.00 s, 50%", "9.00 s, 82%")
    assert (theirs["whole, ratio"], theirs["all but model, ratio"]) == ("5.5×", "9.0×")
    assert (theirs["labels equal"], theirs["host"], theirs["GPU"]) == ("99.12%", "3 MiB", "")
    assert long["all but model, ratio"] == "400.0×"
    assert "skipped" not in written
    assert written["models_device"] == "gpu"
    assert written["cases"]["8×7×6"]["MONAI"]["agreement"] == {"equal_share": 0.9912, "dice": 0.98}


def test_a_side_that_does_not_fit_stands_in_the_table_and_the_bench_goes_on(two_cases: Any) -> None:
    why = "does not fit: needs 54.0 GiB at least, 20.5 GiB free"
    table, written = two_cases(LeftOut(why), facts_of(4.0, 1.0))
    assert (table[2]["side"], table[2]["whole"], table[2]["infer"], table[2]["whole, ratio"]) == ("MONAI", why, "", "")
    assert table[5]["whole, ratio"] == "2.0×"
    assert written["skipped"] == [f"MONAI, 8×7×6: {why}"]
    assert f"Left out: MONAI, 8×7×6: {why}." in written["notes"]
    assert written["cases"]["8×7×6"]["MONAI"] == {"left_out": why}


# -- who takes part ------------------------------------------------------------------------------------------------
def test_peers_that_are_not_installed_are_left_out_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volume_peer, "find_spec", lambda name: None if name == "monai" else object())
    assert why_left_out("cpu", None) == "not installed: monai (make peers)"
    with pytest.raises(PeerMissing, match=r"--peers: MONAI: not installed: monai \(make peers\)"):
        why_left_out("cpu", True)
    assert why_left_out("cpu", False) == "--no-peers"


@pytest.mark.parametrize(
    ("code", "error", "why"),
    [
        (0, "", None),
        (3, "", "this PyTorch finds no CUDA device"),
        (1, "Traceback\nOSError: libcudart\n", "PyTorch: OSError: libcudart"),
    ],
)
def test_a_gpu_needs_a_pytorch_that_finds_it(
    monkeypatch: pytest.MonkeyPatch, code: int, error: str, why: str | None
) -> None:
    monkeypatch.setattr(volume_peer, "find_spec", lambda name: object())
    monkeypatch.setattr(subprocess, "run", lambda command, **options: subprocess.CompletedProcess([], code, "", error))
    assert why_left_out("cpu", True) is None
    assert why_left_out("gpu", None) == why


@pytest.mark.parametrize(
    ("code", "out", "error", "why"),
    [
        (-9, "", "", "does not fit: needs more than the 3.0 GiB that were free"),
        (-6, "", "terminate called\n", "ended by SIGABRT: terminate called"),
        (1, "", "a\nValueError: b\n\n", "failed: ValueError: b"),
        (1, "", "", "failed: without a word"),
        (
            0,
            'chatter\n{"does_not_fit": {"where": "GPU", "needs": 57982058496, "free": 1073741824}}\n',
            "",
            "does not fit: needs 54.0 GiB at least, 1.0 GiB of GPU memory free",
        ),
    ],
)
def test_why_a_side_has_no_figures(code: int, out: str, error: str, why: str) -> None:
    with pytest.raises(LeftOut) as caught:
        read_answer(subprocess.CompletedProcess([], code, out, error), 3 << 30)
    assert str(caught.value) == why


def test_the_last_line_has_the_figures() -> None:
    assert read_answer(subprocess.CompletedProcess([], 0, 'said\n{"seconds": 1.5}\n', ""), 0) == {"seconds": 1.5}


# -- memory --------------------------------------------------------------------------------------------------------
def test_105_classes_need_more_than_their_scores() -> None:
    shape = (512, 512, 512)
    assert grid_of(shape, (1.0, 1.0, 1.0), None) == shape
    assert least_bytes(shape, shape, 105, resampled=False) == (105 * 4 + 4 + 8) * 512**3


def test_resampling_needs_coordinates_of_every_voxel() -> None:
    grid = grid_of((768, 768, 768), (0.75, 0.75, 1.25), (1.0, 1.0, 1.0))
    assert grid == (576, 576, 960)
    assert least_bytes((768, 768, 768), grid, 2, resampled=True) == 7 * 8 * 768**3 + 16 * 576 * 576 * 960
    assert least_bytes((10, 10, 10), (20, 20, 20), 2, resampled=True) == 7 * 8 * 8000 + 12 * 1000


def test_memory_beyond_the_limit_is_an_error_and_the_limit_ends() -> None:
    code = """
import numpy as np, resource
from bench.sides.monai_memory import confined, out_of_memory
before = resource.getrlimit(resource.RLIMIT_DATA)
with confined(200 << 20):
    np.ones(100 << 20, np.uint8)
    try:
        np.ones(300 << 20, np.uint8)
    except MemoryError as error:
        assert out_of_memory(error) == "host"
    else:
        raise SystemExit("no error")
assert resource.getrlimit(resource.RLIMIT_DATA) == before
np.ones(300 << 20, np.uint8)
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


class OutOfMemoryError(RuntimeError):
    """As PyTorch names it."""


def test_errors_that_mean_too_little_memory() -> None:
    torch_host = RuntimeError(
        "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
    )
    wrapped = RuntimeError("applying transform <Spacingd>")
    wrapped.__cause__ = torch_host
    assert out_of_memory(torch_host) == "host"
    assert out_of_memory(wrapped) == "host"
    assert out_of_memory(RuntimeError("std::bad_alloc")) == "host"
    assert out_of_memory(OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")) == "GPU"
    assert out_of_memory(RuntimeError("no such model")) is None
    assert str(DoesNotFit("host", None, 170 << 20)) == "does not fit: needs more than the 170 MiB that were free"


# -- labels --------------------------------------------------------------------------------------------------------
def test_labels_are_compared_voxel_by_voxel(tmp_path: Path) -> None:
    ours = np.random.default_rng(3).integers(0, 3, (5, 4, 3)).astype(np.uint8)
    theirs = ours.copy()
    theirs[2, 1, 0] = (ours[2, 1, 0] + 1) % 3
    theirs[4, 3, 2] = (ours[4, 3, 2] + 1) % 3
    (tmp_path / "ours.raw").write_bytes(ours.tobytes(order="F"))
    nibabel.save(nibabel.Nifti1Image(theirs, np.eye(4)), tmp_path / "theirs.nii")
    actual = agreement(tmp_path / "ours.mhd", tmp_path / "theirs.nii", (5, 4, 3))
    inside = (ours > 0) & (theirs > 0)
    dice = 2 * inside.sum() / ((ours > 0).sum() + (theirs > 0).sum())
    assert actual == {"equal_share": round(58 / 60, 6), "dice": round(float(dice), 6)}
    with pytest.raises(ValueError, match=r"theirs\.nii has \(5, 4, 3\) voxels, ours\.mhd \(5, 4, 4\)"):
        agreement(tmp_path / "ours.mhd", tmp_path / "theirs.nii", (5, 4, 4))
