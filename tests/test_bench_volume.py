"""bench.volume on tiny phantoms: what the table takes from the operator's own report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import volume


@pytest.mark.slow
def test_cases_keep_what_the_operator_reports(tmp_path: Path) -> None:
    result = volume.run("cpu", (volume.Case((48, 40, 36)),), roi=(24, 24, 24), folder=tmp_path)
    facts = json.loads((tmp_path / "volume.json").read_text(encoding="utf-8"))["cases"]["48×40×36"]
    assert [row[0] for row in result.rows] == ["48×40×36"]
    assert (facts["device"], facts["peak_device_bytes"]) == ("cpu", None)
    assert {"read", "prepare", "infer", "restore", "write"} <= facts["stages"].keys()
    assert facts["windows"] > 1
    assert facts["model_s"] > 0
    assert facts["server_input_s"] > 0
    assert facts["server_output_s"] > 0
    assert facts["non_model_non_file_non_copy_s"] < facts["non_model_non_file_s"]
    assert result.notes[-1] == "The models compute on the CPU."
    assert facts["peak_host_bytes"] > 50 << 20


def test_shares_come_from_the_report() -> None:
    report = {
        "device": "gpu",
        "triton": {"data": "cuda_shm"},
        "seconds": 2.0,
        "stages": {"read": 0.5, "prepare": 0.01, "infer": 1.2, "restore": 0.02, "write": 0.1},
        "tiles": {"windows": 4},
        "peak_rss_bytes": 7,
        "memory": {},
        "gpu": {"peak_device_bytes": 9},
    }
    found = volume.summary(report, volume.ServerSeconds(0.02, 1.0, 0.03))
    assert (found["model_s"], found["server_input_s"], found["server_output_s"]) == (1.0, 0.02, 0.03)
    assert (found["non_model_share"], found["non_model_non_file_s"]) == (0.5, 0.23)
    assert found["non_model_non_file_non_copy_s"] == 0.18
    assert (found["peak_host_bytes"], found["peak_device_bytes"]) == (7, 9)


def test_the_last_case_has_105_classes_and_no_other() -> None:
    assert [case.many for case in volume.CASES] == [False, False, False, False, True]
    assert [case.shape for case in volume.QUICK] == [(256, 256, 256), (512, 512, 300)]
    assert volume.CASES[-1].model == "classes105"
