"""`--metrics-port`, `--metrics-host` and `--metrics-file` of `gpu-infer batch`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from gpu_infer.errors import ConfigError, GpuInferError

if TYPE_CHECKING:
    from gpu_infer.batch.run_batch import Watcher

log = logging.getLogger(__name__)


@contextmanager
def metrics_of_batch(port: int | None, host: str | None, file: Path | None) -> Iterator[Callable[[Watcher], Watcher]]:
    """Serve the metrics during the block, and write them at its end, also after an error.

    Yields a function that makes a watcher count; without `port` and `file`, it changes nothing. Raises ConfigError for
    options that cannot be used, and ConfigError or ResourceError if the file cannot be written after a complete block.
    """
    if host is not None and port is None:
        raise ConfigError(
            f"--metrics-host: found {host} without --metrics-port", remedy="give the port, or leave the host out"
        )
    if port is None and file is None:
        yield lambda watcher: watcher
        return
    from gpu_infer.metrics.batch_metrics import DEFAULT_HOST, BatchMetrics, check_file
    from gpu_infer.metrics.watcher import CountingWatcher

    with BatchMetrics() as metrics:
        if file is not None:
            check_file(file)
        if port is not None:
            metrics.serve(port, DEFAULT_HOST if host is None else host)
        try:
            yield lambda watcher: CountingWatcher(watcher, metrics)
        except BaseException:
            if file is not None:
                try:
                    metrics.write(file)
                except GpuInferError as error:
                    log.warning("--metrics-file: %s", error)
            raise
        if file is not None:
            metrics.write(file)
