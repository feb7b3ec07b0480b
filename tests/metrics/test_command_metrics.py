"""Metrics of the real command against the reports of its cases."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from batch_runs import BatchRun, ended, wait_until
from prometheus_client.parser import text_string_to_metric_families

pytestmark = pytest.mark.slow


def samples(text: str) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_file_has_the_sums_of_all_reports(tmp_path: Path, triton_server: Any) -> None:
    path = tmp_path / "batch.prom"
    run = BatchRun(tmp_path, triton_server.grpc, 3, "threshold_half", ("--metrics-file", str(path)))
    (run.source / "a_broken.nii.gz").write_bytes(b"nonsense")
    assert run.run()[0] == 6
    counts = samples(path.read_text())
    reports = [json.loads((run.output / case / "report.json").read_text()) for case in run.labels]
    assert counts["gpu_infer_cases_total", "done"] == 3
    assert counts["gpu_infer_cases_total", "failed"] == counts["gpu_infer_failures_total", "input"] == 1
    assert counts["gpu_infer_windows_total",] == sum(report["tiles"]["inferred"] for report in reports) > 0
    for kind in ("shm", "inline"):
        assert counts["gpu_infer_bytes_total", kind] == sum(report["triton"][f"bytes_{kind}"] for report in reports)
    for stage in {stage for report in reports for stage in report["stages"]}:
        expected = sum(report["stages"].get(stage, 0) for report in reports)
        assert counts["gpu_infer_stage_seconds_total", stage] == pytest.approx(expected)
    assert run.run()[0] == 6
    again = samples(path.read_text())
    assert again["gpu_infer_cases_total", "skipped"] == 4
    assert sum(again.values()) == 4


def test_a_scrape_while_the_batch_runs(tmp_path: Path, triton_server: Any) -> None:
    run = BatchRun(tmp_path, triton_server.grpc, 6, "slow", ("--metrics-port", "0", "--lanes", "2"))
    batch = run.start()
    log = run.output / "gpu_infer.log"
    wait_until(lambda: len(run.done()) > 0)
    url = re.search(r"metrics at (http://127\.0\.0\.1:\d+/metrics)", log.read_text())
    assert url is not None
    with urllib.request.urlopen(url[1], timeout=10) as answer:
        counts = samples(answer.read().decode())
    assert 1 <= counts["gpu_infer_cases_total", "done"] + counts["gpu_infer_cases_in_work",] <= 6
    code, _, err = ended(batch)
    assert code == 0, err
