"""Options of `gpu-infer batch` that choose its engine, its servers and its metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gpu_infer.batch.engines.dask_engine import DaskEngine
from gpu_infer.batch.engines.local import LocalEngine
from gpu_infer.batch.outcome import Outcome
from gpu_infer.cli.batch_engine import check_scheduler, engine_of, take_servers
from gpu_infer.cli.batch_metrics import metrics_of_batch
from gpu_infer.cli.batch_progress import BatchWatcher
from gpu_infer.errors import ConfigError, Interrupted

NO_OPTIONS = dict.fromkeys(("scheduler", "workers", "part", "parts", "triton"))


def test_the_engine() -> None:
    assert isinstance(engine_of(None)([]), LocalEngine)
    assert isinstance(engine_of("tcp://a:8786")([]), DaskEngine)


@pytest.mark.parametrize("other", [{"workers": 2}, {"part": "1/2"}, {"parts": 2}])
def test_a_cluster_has_its_own_workers_and_all_cases(other: dict[str, Any]) -> None:
    check_scheduler(NO_OPTIONS | other)
    with pytest.raises(ConfigError, match=f"^--scheduler contradicts --{next(iter(other))}: "):
        check_scheduler(NO_OPTIONS | {"scheduler": "tcp://a:1"} | other)


def test_several_servers() -> None:
    for triton in (None, "local", "a:8000"):
        options = NO_OPTIONS | {"triton": triton}
        assert take_servers(options) == ()
        assert options["triton"] == triton
    options = NO_OPTIONS | {"triton": "a:8000,b:8000"}
    assert take_servers(options) == ("a:8000", "b:8000")
    assert options["triton"] == "a:8000"
    with pytest.raises(ConfigError, match="--workers: found 1, expected at least 2 for the 2 servers of --triton"):
        take_servers(NO_OPTIONS | {"triton": "a:8000,b:8000", "workers": 1})


def interrupted_batch(metrics_file: Path) -> None:
    with metrics_of_batch(None, None, metrics_file) as count:
        watcher = count(BatchWatcher(None))
        watcher.begin([Outcome("a", "done", skipped=True)], 2)
        watcher.progress("b", "infer", 1, 9)
        watcher.outcome(Outcome("b", "done"))
        watcher.progress("c", "infer", 1, 9)
        raise Interrupted("interrupted by SIGINT")


def test_metrics_are_written_after_an_error(tmp_path: Path) -> None:
    path = tmp_path / "batch.prom"
    with pytest.raises(Interrupted):
        interrupted_batch(path)
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(path.read_text())
        for sample in family.samples
    }
    assert samples["gpu_infer_cases_total", "skipped"] == samples["gpu_infer_cases_total", "done"] == 1
    assert samples["gpu_infer_cases_in_work",] == 0


def test_without_metrics_nothing_counts() -> None:
    watcher = BatchWatcher(None)
    with metrics_of_batch(None, None, None) as count:
        assert count(watcher) is watcher


def test_metrics_options_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--metrics-host: found 0\.0\.0\.0 without --metrics-port"):
        metrics_of_batch(None, "0.0.0.0", tmp_path / "m.prom").__enter__()
    with pytest.raises(ConfigError, match="--metrics-file: the folder"):
        metrics_of_batch(None, None, tmp_path / "missing" / "m.prom").__enter__()
