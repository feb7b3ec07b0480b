"""Outputs beside the label maps: a failure to write one is a warning, because the segmentation is written already."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gpu_infer.errors import GpuInferError, Interrupted
from gpu_infer.report import Report


@contextmanager
def failure_warns(report: Report, failure: str) -> Iterator[None]:
    """Turn an error of the block into a warning that begins with `failure`."""
    try:
        yield
    except Interrupted:
        raise
    except (GpuInferError, OSError) as error:
        report.warn(f"{failure}: {error}")
