"""The metrics of one batch, from its first case to its last: `--metrics-port` and `--metrics-file`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Self

from gpu_infer.batch.outcome import Outcome
from gpu_infer.errors import ConfigError
from gpu_infer.metrics.counts import BatchCounts
from gpu_infer.metrics.exposition import registry
from gpu_infer.system.atomic_file import replace_bytes
from gpu_infer.writers.atomic import check_folder, folder_error

if TYPE_CHECKING:
    from threading import Thread
    from wsgiref.simple_server import WSGIServer

DEFAULT_HOST = "127.0.0.1"

_MARK = b"# HELP gpu_infer_"
"""Begin of each file that `write` has written."""

log = logging.getLogger(__name__)


class BatchMetrics:
    """Counts cases, serves the counts over HTTP, and writes them into a file. A context manager that ends the serving.

    Raises ConfigError without the extra `metrics`.
    """

    def __init__(self) -> None:
        try:
            import prometheus_client  # noqa: F401
        except ModuleNotFoundError as error:
            raise ConfigError(
                "--metrics-port, --metrics-file: need prometheus-client, which is not installed",
                remedy="pip install 'gpu-infer[metrics]'",
            ) from error
        self._counts = BatchCounts()
        self._registry = registry(self._counts)
        self._server: WSGIServer | None = None
        self._thread: Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def begin(self, case: str) -> None:
        """A case is in work, at the first event of its progress and at any later one."""
        self._counts.begin(case)

    def observe(self, outcome: Outcome) -> None:
        """Count a case that has ended, or that an earlier batch has ended."""
        self._counts.observe(outcome)

    def serve(self, port: int, host: str = DEFAULT_HOST) -> int:
        """Serve the counts at http://host:port/metrics until `close`, and return the port; 0: any free one.

        Raises ConfigError for a port or host that cannot be used.
        """
        from prometheus_client import start_http_server

        if not 0 <= port <= 65535:
            raise ConfigError(f"--metrics-port: found {port}, expected 0 to 65535", remedy="0 takes a free port")
        try:
            self._server, self._thread = start_http_server(port, host, self._registry)
        except (OSError, UnicodeError) as error:
            raise ConfigError(
                f"--metrics-port: {host}:{port} cannot be opened: {getattr(error, 'strerror', None) or error}",
                remedy="choose another port (0 takes a free one), or correct --metrics-host",
            ) from error
        chosen = int(self._server.server_port)
        log.info("metrics at http://%s:%d/metrics", f"[{host}]" if ":" in host else host, chosen)
        return chosen

    def write(self, path: Path) -> None:
        """Write the counts of the ended batch as a textfile, whole or not at all; see `check_file`.

        Raises ConfigError or ResourceError if the file cannot be written.
        """
        from prometheus_client import generate_latest

        self._counts.end()
        check_file(path)
        try:
            replace_bytes(path, generate_latest(self._registry))
        except OSError as error:
            raise folder_error(error, path.parent) from error

    def close(self) -> None:
        """End the serving. May be called twice."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = self._thread = None


def check_file(path: Path) -> None:
    """Raise ConfigError if `--metrics-file` cannot be written there; only older metrics of ours are replaced."""
    try:
        with path.open("rb") as stream:
            is_ours = stream.read(len(_MARK)) in (_MARK, b"")
    except FileNotFoundError:
        is_ours = True
    except OSError as error:
        raise ConfigError(
            f"--metrics-file: {path} cannot be replaced: {error.strerror}", remedy="give the path of a file"
        ) from error
    if not is_ours:
        raise ConfigError(
            f"--metrics-file: {path} is a file of another program, expected none or older metrics",
            remedy="give another path",
        )
    if not path.parent.is_dir():
        raise ConfigError(
            f"--metrics-file: the folder {path.parent} does not exist", remedy="create it, or give another path"
        )
    check_folder(path.parent)
