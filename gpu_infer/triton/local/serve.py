"""A local Triton as a process: start it, wait until it is ready, stop it."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from gpu_infer.errors import ConfigError, DeadlineError, ServerError
from gpu_infer.triton.local import supervisor
from gpu_infer.triton.local.backends import backend_folder
from gpu_infer.triton.local.follow import OnLine
from gpu_infer.triton.local.install import install, installed
from gpu_infer.triton.local.ports import ADDRESS, choose_ports
from gpu_infer.triton.local.ready import failure_reason, is_ready, port_was_taken
from gpu_infer.triton.local.segments import remove_leftovers, warn_when_small
from gpu_infer.triton.local.server_command import check_repository, server_options
from gpu_infer.triton.local.server_log import create_log, mark_in_use
from gpu_infer.triton.local.start_failure import request_failure, start_failure
from gpu_infer.triton.shm.naming import SHM_FOLDER

log = logging.getLogger(__name__)

_PORT_TRIES = 5
_POLL_S = 0.05
_GRACE_S = 10.0
_END_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class LocalServer:
    """A tritonserver on the loopback address that serves one or more model repositories.

    Use it as a context manager, or call `start` and `stop`. The server and its stubs end with this process, whatever
    way it ends.

    Args:
        models: a repository (folder of model folders), or several.
        http_port: 0 chooses a free port at the first start, which later starts use again.
        grpc_port: like `http_port`.
        log: file for the server's log; None: a temporary file, which is removed unless an error names it.
        wait_s: seconds that the models may take to load.
        cache: folder for the environment, installed at the first start (see `install`).
        on_line: gets each line that pip prints.
        names: the models to load, with those that an ensemble of Triton needs; (): all.

    Raises:
        ConfigError: a folder, a port or the platform cannot be used.
        ServerError: the server ended by itself; the message names the model and the reason.
        ResourceError: /dev/shm is too small for it, or for a request in the `with` block.
        DeadlineError: the server was not ready in time.
    """

    def __init__(
        self,
        models: Path | Sequence[Path],
        http_port: int = 0,
        grpc_port: int = 0,
        log: Path | None = None,
        *,
        wait_s: float = 120.0,
        cache: Path | None = None,
        on_line: OnLine | None = None,
        names: Sequence[str] = (),
    ) -> None:
        folders = [models] if isinstance(models, Path) else list(models)
        self.models = tuple(check_repository(folder) for folder in folders)
        self._names = tuple(names)
        self._requested_ports = (http_port, grpc_port)
        self._ports: tuple[int, ...] | None = None  # (http, grpc) since the first start
        self._wait_s = wait_s
        self._cache = cache
        self._on_line = on_line
        self._own_log = log is None
        self._log = log
        self._supervisor: subprocess.Popen[bytes] | None = None
        self.pid: int | None = None

    # -- addresses -----------------------------------------------------------------------------------------
    @property
    def http(self) -> str:
        """host:port of the HTTP endpoint."""
        return f"{ADDRESS}:{self._port(0)}"

    @property
    def grpc(self) -> str:
        """host:port of the gRPC endpoint."""
        return f"{ADDRESS}:{self._port(1)}"

    @property
    def log_file(self) -> Path | None:
        return self._log

    def keep_log(self) -> Path | None:
        """The log's file, which `stop` then does not remove: for an error that names it."""
        self._own_log = False
        return self._log

    @property
    def running(self) -> bool:
        return self._supervisor is not None and self._supervisor.poll() is None

    def _port(self, index: int) -> int:
        if self._ports is None:
            raise RuntimeError("the local Triton was never started")
        return self._ports[index]

    # -- life ----------------------------------------------------------------------------------------------
    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the server; after an error with SIGKILL, since a request could delay its end."""
        if error is not None:
            self._end(signal.SIGKILL)
        self.stop()
        if (shortage := request_failure(error)) is not None:
            raise shortage from error

    def start(self) -> None:
        """Start the server and return when every model is ready. Does nothing while it runs."""
        if self.running:
            return
        runtime = installed(self._cache)
        if runtime is None:
            install(self._cache, self._on_line)
            runtime = installed(self._cache)
        assert runtime is not None
        backends = backend_folder(runtime)
        remove_leftovers()
        warn_when_small()
        for attempt in range(_PORT_TRIES):
            ports = choose_ports(*(self._ports or self._requested_ports))
            if self._try_start(runtime.server, backends, runtime.environment(), ports):
                self._ports = ports
                log.info("local Triton ready on http %s, grpc %s", self.http, self.grpc)
                return
            log.info("a chosen port was taken by another process, try %d", attempt + 2)
        self._drop_log()
        raise ServerError("no free port for the local Triton", remedy="give --http-port and --grpc-port")

    def stop(self) -> None:
        """End the server and its stubs and remove what belongs to them. Does nothing if no server runs."""
        self._end(None)
        self._drop_log()

    # -- inside --------------------------------------------------------------------------------------------
    def _try_start(self, server: Path, backends: Path, env: dict[str, str], ports: tuple[int, ...]) -> bool:
        """Whether the server is ready; False if another process took a port between choosing and binding."""
        if self._log is None:
            self._log = create_log()
        start_of_log = self._log.stat().st_size if self._log.exists() else 0
        try:
            with self._open_log() as stream:
                if self._own_log:
                    mark_in_use(stream)
                command = [str(server), *server_options(self.models, backends, *ports, names=self._names)]
                temporary = str(self._log) if self._own_log else ""
                arguments = ["server", str(SHM_FOLDER), str(_GRACE_S), temporary, *command]
                self._supervisor = subprocess.Popen(
                    [sys.executable, "-I", "-S", supervisor.__file__, *arguments],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=stream,
                    start_new_session=True,  # Ctrl-C in the terminal reaches this process alone, which ends the server
                    env=env,
                )
            assert self._supervisor.stdout is not None
            self.pid = int(self._supervisor.stdout.readline() or 0) or None
            if self._wait_ready(ports[0]):
                # Before any client of this process sends a voxel.
                supervisor.protect_regions(supervisor.region_prefix(self._supervisor.pid), SHM_FOLDER)
                return True
            lost_port = port_was_taken(self._log, start_of_log)
        except BaseException:
            self._end(signal.SIGKILL)
            self._drop_log()
            raise
        self._end(None)
        if lost_port and 0 in self._requested_ports:
            return False
        self.keep_log()
        raise start_failure(self.models, self._log, start_of_log)

    def _drop_log(self) -> None:
        if self._own_log and self._log is not None:
            self._log.unlink(missing_ok=True)
            self._log = None

    def _open_log(self) -> IO[bytes]:
        assert self._log is not None
        try:
            self._log.parent.mkdir(parents=True, exist_ok=True)
            return self._log.open("ab")
        except OSError as error:
            raise ConfigError(
                f"log file {self._log} cannot be written: {error.strerror}", remedy="give another path"
            ) from error

    def _wait_ready(self, port: int) -> bool:
        """Whether the server is ready; False if it ended by itself."""
        deadline = time.monotonic() + self._wait_s
        while self.running:
            if is_ready(port):
                return self.running
            if time.monotonic() > deadline:
                raise DeadlineError(
                    f"the local Triton was not ready after {self._wait_s:g} s",
                    remedy=f"its log is {self.keep_log()}; a large model may need a longer wait",
                )
            time.sleep(_POLL_S)
        return False

    def _end(self, signum: signal.Signals | None) -> None:
        process, self._supervisor = self._supervisor, None
        if process is None:
            return
        if signum is not None and self.pid is not None and process.poll() is None:
            # The supervisor alone reaps the server; while it lives, the pid belongs to no other process.
            os.killpg(self.pid, signum)
        assert process.stdin is not None
        assert process.stdout is not None
        # The supervisor stops the server, kills its group and removes its regions. A byte works also if a forked child
        # has the pipe open.
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(b"\n")
            process.stdin.close()
        try:
            process.wait(_GRACE_S + 10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        finally:
            process.stdout.close()
            self.pid = None


def serve_foreground(
    models: Path | Sequence[Path],
    http_port: int = 8000,
    grpc_port: int = 8001,
    *,
    log: Path | None = None,
    on_ready: Callable[[LocalServer], None] | None = None,
    on_line: OnLine | None = None,
) -> int:
    """Serve until SIGTERM (exit code 0) or SIGINT (130); return the exit code. For the main thread alone.

    `on_ready` is called once with the running server. Raises what LocalServer raises, and ServerError if the server
    ends by itself.
    """
    signals: list[int] = []
    previous = {s: signal.signal(s, lambda signum, _frame: signals.append(signum)) for s in _END_SIGNALS}
    try:
        with LocalServer(models, http_port, grpc_port, log, on_line=on_line) as server:
            if on_ready is not None and not signals:
                on_ready(server)
            while not signals:
                if not server.running:
                    assert server.log_file is not None
                    raise ServerError(
                        f"the local Triton ended by itself: {failure_reason(server.log_file)}",
                        remedy=f"its log is {server.keep_log()}",
                    )
                time.sleep(0.1)
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)
    return 130 if signal.SIGINT in signals else 0
