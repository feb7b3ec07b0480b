"""Counts of a batch as metrics of prometheus-client."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from gpu_infer.metrics.counts import BatchCounts

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric


class BatchCollector:
    """Reads the counts when a scrape asks: an instrument of prometheus-client would add the time of its creation."""

    def __init__(self, counts: BatchCounts) -> None:
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

        counts = self._counts.copy()
        by_label: list[tuple[str, str, str, Mapping[str, float]]] = [
            ("gpu_infer_cases", "Cases of the batch that have ended.", "status", counts.cases),
            ("gpu_infer_failures", "Cases that failed or crashed, by kind of the error.", "kind", counts.failures),
            ("gpu_infer_bytes", "Voxels and scores to and from Triton, in bytes.", "path", counts.bytes),
            ("gpu_infer_stage_seconds", "Seconds of a stage, added over all cases.", "stage", counts.seconds),
        ]
        for name, text, label, values in by_label:
            family = CounterMetricFamily(name, text, labels=[label])
            for key, value in values.items():
                family.add_metric([key], value)
            yield family
        yield CounterMetricFamily("gpu_infer_windows", "Windows that were inferred.", value=counts.windows)
        yield GaugeMetricFamily("gpu_infer_cases_in_work", "Cases in work.", value=counts.in_work)


def registry(counts: BatchCounts) -> CollectorRegistry:
    """A registry of these metrics alone, without those of the process and of Python."""
    from prometheus_client import CollectorRegistry

    own = CollectorRegistry()
    own.register(BatchCollector(counts))
    return own
