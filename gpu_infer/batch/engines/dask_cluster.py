"""A Dask cluster that somebody else has started: the connection, and the checks of its workers."""

from __future__ import annotations

import importlib.metadata
import json
import logging
import secrets
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from inspect import signature
from pathlib import Path

from distributed import Client

from gpu_infer._version import __version__
from gpu_infer.batch.case import Case
from gpu_infer.batch.engines.dask_task import check_host
from gpu_infer.batch.job import BatchJob
from gpu_infer.errors import ConfigError, ServerError
from gpu_infer.writers.atomic import folder_error

PROBE = ".gpu_infer-dask-probe"
"""File in the output folder that every worker has to see."""

FAILURES = (OSError, TimeoutError, RuntimeError, ValueError)
"""What calls of a client raise if the scheduler or a worker vanishes; the errors of Dask's connections are OSError."""

# Some releases list the first five unless they are asked for all; older ones know no limit.
_ALL_WORKERS = {"n_workers": -1} if "n_workers" in signature(Client.scheduler_info).parameters else {}

_LOGGERS = ("distributed", "tornado", "asyncio")

log = logging.getLogger(__name__)


def scheduler_address(scheduler: str) -> str:
    """The address in `scheduler`: tcp://host:port or the like, or a scheduler file. Raises ConfigError."""
    if "://" in scheduler:
        return scheduler
    try:
        content = json.loads(Path(scheduler).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"--scheduler: {scheduler} cannot be read: {error.strerror}",
            remedy="give tcp://host:port, or the file that `dask scheduler --scheduler-file FILE` writes",
        ) from None
    except ValueError:
        content = None
    address = content.get("address") if isinstance(content, dict) else None
    if not isinstance(address, str):
        raise ConfigError(
            f"--scheduler: {scheduler} has no address of a scheduler",
            remedy="give the file that `dask scheduler --scheduler-file FILE` writes, or tcp://host:port",
        )
    return address


@contextmanager
def connection(scheduler: str, wait_s: float) -> Iterator[Client]:
    """A client of the scheduler, closed after the block. Dask's own log lines and warnings are not shown.

    Raises ConfigError for an address that cannot be used, ServerError if no scheduler answers within `wait_s`.
    """
    address = scheduler_address(scheduler)
    with _silence():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Dask's table of versions; ours is checked by itself
                client = Client(address, timeout=wait_s, set_as_default=False, name="gpu_infer")
        except (OSError, TimeoutError) as error:
            raise ServerError(
                f"no Dask scheduler answers at {address} within {wait_s:g} s ({type(error).__name__})",
                remedy="start one with `dask scheduler`, or correct --scheduler",
            ) from error
        except (ValueError, RuntimeError, TypeError) as error:
            raise ConfigError(
                f"--scheduler: {address} cannot be used: {' '.join(str(error).split())}",
                remedy="give tcp://host:port, tls://host:port or a scheduler file",
            ) from error
        try:
            yield client
        finally:
            with suppress(*FAILURES):
                client.close(timeout=2)


@contextmanager
def _silence() -> Iterator[None]:
    """Turn off what Dask writes to the standard error; the errors that matter come from the engine."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [(logger.handlers[:], logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.handlers[:], logger.propagate = [logging.NullHandler()], False
    try:
        yield
    finally:
        for logger, (handlers, propagate) in zip(loggers, before, strict=True):
            logger.handlers[:], logger.propagate = handlers, propagate


def worker_states(client: Client) -> dict[str, bool]:
    """The addresses of all workers, and whether each may begin tasks. Raises what `FAILURES` lists."""
    workers = client.scheduler_info(**_ALL_WORKERS)["workers"]
    return {address: state["status"] == "running" for address, state in workers.items()}


class Probe:
    """Checks that workers have this version and see the output folder and the inputs. A context manager.

    begun_ns  time of the output folder's file system when the batch began
    """

    def __init__(self, client: Client, job: BatchJob, cases: Sequence[Case]) -> None:
        """Write the probe. Raises ConfigError or ResourceError if the output folder cannot be written."""
        self._client = client
        self._file = job.output.absolute() / PROBE
        self._token = secrets.token_hex(8)
        settings = job.settings
        files = [settings.config, settings.labels, settings.local_models, settings.dicom_reference]
        self._paths = [str(path.absolute()) for path in (*files, *cases[0].inputs) if path is not None]
        try:
            self._file.write_text(self._token, encoding="utf-8")
            self.begun_ns = self._file.stat().st_mtime_ns
        except OSError as error:
            raise folder_error(error, job.output) from error

    def __enter__(self) -> Probe:
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(OSError):
            self._file.unlink()

    def faults(self, addresses: Sequence[str]) -> dict[str, ConfigError]:
        """Errors by the addresses of workers that cannot run the batch; workers that vanish have none."""
        run, workers = self._client.run, list(addresses)
        versions = run(importlib.metadata.version, "gpu-infer", workers=workers, on_error="return")
        faults = {address: _wrong_version(address, version) for address, version in versions.items()}
        wrong = {address: fault for address, fault in faults.items() if fault is not None}
        if right := [address for address in versions if address not in wrong]:
            missing = run(check_host, str(self._file), self._token, self._paths, workers=right, on_error="return")
            wrong |= {a: self._not_seen(a, path) for a, path in missing.items() if path is not None}
        return wrong

    def _not_seen(self, address: str, path: object) -> ConfigError:
        if not isinstance(path, str):
            return ConfigError(
                f"Dask worker {address} cannot run gpu_infer: {type(path).__name__}: {' '.join(str(path).split())}",
                remedy="install gpu-infer[dask] there as it is here",
            )
        return ConfigError(
            f"Dask worker {address} does not see {path} of this host",
            remedy="put inputs, outputs and configuration on a file system that all hosts mount at the same path",
        )


def _wrong_version(address: str, version: object) -> ConfigError | None:
    if version == __version__:
        return None
    if isinstance(version, OSError) and not isinstance(version, importlib.metadata.PackageNotFoundError):
        return None  # the worker has vanished
    has = f"has gpu_infer {version}" if isinstance(version, str) else "does not have gpu_infer"
    return ConfigError(
        f"Dask worker {address} {has}, expected {__version__} as here",
        remedy=f"install gpu-infer[dask]=={__version__} in the environment of the workers",
    )
