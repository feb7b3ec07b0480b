"""Metrics of a batch, read with prometheus-client's own parser."""

from __future__ import annotations

import errno
import os
import socket
import sys
import threading
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gpu_infer.batch.outcome import Outcome
from gpu_infer.errors import ConfigError
from gpu_infer.metrics.batch_metrics import BatchMetrics, check_file

REPORT = {
    "stages": {"read": 0.25, "infer": 2.0},
    "tiles": {"windows": 12, "inferred": 10},
    "triton": {"bytes_shm": 4096, "bytes_inline": 0},
    "input": {"path": "/data/secret_patient.nii"},
}
OUTCOMES = [
    Outcome("secret_a", "done", report=REPORT),
    Outcome("secret_b", "done", report={**REPORT, "triton": {"bytes_shm": 0, "bytes_inline": 512}}),
    Outcome("secret_c", "failed", error="no", kind="input", exit_code=3, report={"stages": {"read": 0.5}}),
    Outcome("secret_d", "crashed", error="gone", kind="crash", exit_code=1),
    Outcome("secret_e", "done", report=REPORT, skipped=True),
    Outcome("secret_f", "failed", error="no", kind="model", skipped=True),
]
EXPECTED = {
    ("gpu_infer_cases_total", "done"): 2,
    ("gpu_infer_cases_total", "failed"): 1,
    ("gpu_infer_cases_total", "crashed"): 1,
    ("gpu_infer_cases_total", "skipped"): 2,
    ("gpu_infer_failures_total", "input"): 1,
    ("gpu_infer_failures_total", "crash"): 1,
    **{("gpu_infer_failures_total", kind): 0 for kind in ("model", "config", "server", "resource", "unexpected")},
    ("gpu_infer_windows_total", None): 20,
    ("gpu_infer_bytes_total", "shm"): 4096,
    ("gpu_infer_bytes_total", "inline"): 512,
    ("gpu_infer_stage_seconds_total", "read"): 1.0,
    ("gpu_infer_stage_seconds_total", "infer"): 4.0,
    ("gpu_infer_cases_in_work", None): 0,
}


def samples(text: str) -> dict[tuple[str, str | None], float]:
    values = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation
        assert family.type == ("gauge" if family.name == "gpu_infer_cases_in_work" else "counter")
        for sample in family.samples:
            assert len(sample.labels) <= 1
            values[sample.name, next(iter(sample.labels.values()), None)] = sample.value
    return values


def scrape(port: int, host: str = "127.0.0.1") -> str:
    with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=10) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain")
        return str(answer.read().decode())


@pytest.fixture
def metrics() -> BatchMetrics:
    metrics = BatchMetrics()
    for outcome in OUTCOMES:
        metrics.begin(outcome.id)
        metrics.observe(outcome)
    return metrics


def test_a_scrape(metrics: BatchMetrics) -> None:
    with metrics:
        port = metrics.serve(0)
        text = scrape(port)
        assert samples(text) == EXPECTED
        assert "secret" not in text
        metrics.begin("secret_g")
        metrics.begin("secret_g")
        assert samples(scrape(port)) == {**EXPECTED, ("gpu_infer_cases_in_work", None): 1}
    with pytest.raises(OSError, match="refused"):
        scrape(port)
    metrics.close()
    assert not [thread for thread in threading.enumerate() if "serve_forever" in thread.name]


def test_counters_begin_at_zero() -> None:
    with BatchMetrics() as metrics:
        empty = samples(scrape(metrics.serve(0)))
    assert set(empty) == {key for key in EXPECTED if key[0] != "gpu_infer_stage_seconds_total"}
    assert set(empty.values()) == {0}


def test_a_textfile(metrics: BatchMetrics, tmp_path: Path) -> None:
    path = tmp_path / "batch.prom"
    metrics.begin("given up")
    for _ in range(2):
        metrics.write(path)
        assert samples(path.read_text()) == EXPECTED
    assert [entry.name for entry in tmp_path.iterdir()] == ["batch.prom"]


def test_a_file_of_another_program_stays(metrics: BatchMetrics, tmp_path: Path) -> None:
    path = tmp_path / "node.prom"
    path.write_text("# HELP node_load1 1m load average.\n")
    with pytest.raises(ConfigError, match=r"--metrics-file: .*node\.prom is a file of another program"):
        metrics.write(path)
    assert "node_load1" in path.read_text()
    path.write_text("")
    metrics.write(path)
    assert samples(path.read_text()) == EXPECTED


def test_paths_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--metrics-file: the folder .*/missing does not exist"):
        check_file(tmp_path / "missing" / "batch.prom")
    with pytest.raises(ConfigError, match=r"--metrics-file: .* cannot be replaced: Is a directory"):
        check_file(tmp_path)


def test_a_port_that_is_taken() -> None:
    with socket.socket() as taken, BatchMetrics() as metrics:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        reason = os.strerror(errno.EADDRINUSE)
        with pytest.raises(ConfigError, match=rf"^--metrics-port: 127\.0\.0\.1:{port} cannot be opened: {reason} \("):
            metrics.serve(port)


@pytest.mark.parametrize("port", [-1, 65536])
def test_ports_that_do_not_exist(port: int) -> None:
    with BatchMetrics() as metrics, pytest.raises(ConfigError, match=f"--metrics-port: found {port}, expected 0 to"):
        metrics.serve(port)


@pytest.mark.parametrize("host", ["no such host", "192.0.2.1", ""])
def test_hosts_that_are_not_this_one(host: str) -> None:
    with BatchMetrics() as metrics, pytest.raises(ConfigError, match="cannot be "):
        metrics.serve(0, host)


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ConfigError, match=r"need prometheus-client, which .* \(pip install 'gpu-infer\[metrics\]'\)"):
        BatchMetrics()


def test_the_page_lists_every_metric_with_its_labels() -> None:
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
    rows = {row.split("`")[1]: row for row in page.splitlines() if row.startswith("| `gpu_infer_")}
    assert set(rows) == {name for name, _ in EXPECTED}
    for name, label in EXPECTED:
        if name != "gpu_infer_stage_seconds_total" and label is not None:
            assert f"`{label}`" in rows[name].split("|")[3]
        assert "| gauge |" in rows[name] if name == "gpu_infer_cases_in_work" else "| counter |" in rows[name]
