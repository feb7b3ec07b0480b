"""The Dask engine, if the extra `dask` is installed."""

from __future__ import annotations

from gpu_infer.batch.engines.engine import Engine
from gpu_infer.errors import ConfigError


def dask_engine(scheduler: str) -> Engine:
    """The engine of the cluster of `scheduler`: tcp://host:port, or a scheduler file.

    Raises ConfigError without the extra, and if the scheduler file cannot be used.
    """
    try:
        import distributed  # noqa: F401
    except ModuleNotFoundError as error:
        raise ConfigError(
            "--scheduler: needs distributed, which is not installed", remedy="pip install 'gpu-infer[dask]'"
        ) from error
    from gpu_infer.batch.engines.dask_cluster import scheduler_address
    from gpu_infer.batch.engines.dask_engine import DaskEngine

    scheduler_address(scheduler)
    return DaskEngine(scheduler)
