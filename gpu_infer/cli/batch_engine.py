"""The engine of `gpu-infer batch` and its servers, from `--scheduler`, `--workers`, `--part` and `--triton`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from gpu_infer.errors import ConfigError

if TYPE_CHECKING:
    from gpu_infer.batch.engines.engine import Engine


def engine_of(scheduler: str | None) -> Callable[[Sequence[int]], Engine]:
    """What makes the engine: that of this host, or with a scheduler that of its cluster.

    Raises ConfigError without the extra `dask`, or for a scheduler file that cannot be used.
    """
    if scheduler is None:
        from gpu_infer.batch.engines.local import LocalEngine

        return LocalEngine
    from gpu_infer.batch.engines.dask_extra import dask_engine

    engine = dask_engine(scheduler)
    return lambda handles: engine


def check_scheduler(options: dict[str, Any]) -> None:
    """Raise ConfigError for options that a cluster would ignore."""
    if options["scheduler"] is None:
        return
    for name in ("workers", "part", "parts"):
        if options[name] is not None:
            raise ConfigError(
                f"--scheduler contradicts --{name}: the cluster's workers take all cases",
                remedy="leave one of the two out",
            )


def take_servers(options: dict[str, Any]) -> tuple[str, ...]:
    """The servers of `--triton a:8000,b:8000`; of these, `options` has the first one from now on. Empty for others.

    Raises ConfigError for addresses that cannot be used, and fewer workers than servers.
    """
    text = options.get("triton")
    if text is None or "," not in text:
        return ()
    from gpu_infer.batch.servers import parse_servers

    servers = parse_servers(text)
    workers = options["workers"]
    if workers is not None and workers < len(servers):
        raise ConfigError(
            f"--workers: found {workers}, expected at least {len(servers)} for the {len(servers)} servers of --triton",
            remedy="each worker uses one server: name fewer, or start more workers",
        )
    options["triton"] = servers[0]
    return servers
