"""Start, watch and stop a local Triton."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from gpu_infer.errors import ConfigError, DeadlineError, ServerError
from gpu_infer.triton.client.failures import SMALL_POOL
from gpu_infer.triton.local import guard
from gpu_infer.triton.local.follow import OnLine
from gpu_infer.triton.local.install import install, installed
from gpu_infer.triton.local.ports import ADDRESS, choose_ports
from gpu_infer.triton.local.ready import failure_reason, is_ready, port_was_taken
from gpu_infer.triton.local.segments import remove_leftovers, warn_when_small

log = logging.getLogger(__name__)

_PORT_TRIES = 5
_POLL_S = 0.05
_GRACE_S = 10.0
_END_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class LocalServer:
    """A tritonserver on the loopback address, serving one or more model repositories.

    models       a repository (folder of model folders) or several
    http_port    0 chooses a free port once; a later `start` keeps it. So does `grpc_port`
    log          file that gets the server's log; None: a temporary file, kept only where an error names it
    wait_s       how long loading the models may take
    cache        where the environment is installed, on first use (`install`); `on_line` gets pip's lines

    Use as a context manager, or call `start` and `stop`. The server and its stubs end with this process,
    however it ends. Raises ConfigError (folder, port, platform), ServerError (the server gave up: names the
    model and says why), DeadlineError (not ready in time).
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
    ) -> None:
        given = [models] if isinstance(models, Path) else list(models)
        self.models = tuple(_repository(folder) for folder in given)
        self._requested_ports = (http_port, grpc_port)
        self._ports: tuple[int, ...] | None = None
        self._wait_s = wait_s
        self._cache = cache
        self._on_line = on_line
        self._own_log = log is None
        self._log = log
        self._guard: subprocess.Popen[bytes] | None = None
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
        """The log's file, which then stays behind: for an error that names it."""
        self._own_log = False
        return self._log

    @property
    def running(self) -> bool:
        return self._guard is not None and self._guard.poll() is None

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
        """Stop the server; at once after an error, since a request may keep it from ending by itself."""
        if error is not None:
            self._end(signal.SIGKILL)
        self.stop()

    def start(self) -> None:
        """Start and return when every model is ready. Does nothing while it runs."""
        if self.running:
            return
        runtime = installed(self._cache)
        if runtime is None:
            install(self._cache, self._on_line)
            runtime = installed(self._cache)
        assert runtime is not None
        remove_leftovers()
        warn_when_small()
        for attempt in range(_PORT_TRIES):
            ports = choose_ports(*(self._ports or self._requested_ports))
            if self._try_start(runtime.server, runtime.backends, runtime.environment(), ports):
                self._ports = ports
                log.info("local Triton ready on http %s, grpc %s", self.http, self.grpc)
                return
            log.info("a chosen port was taken by another process, try %d", attempt + 2)
        self._drop_log()
        raise ServerError("no free port for the local Triton", remedy="give --http-port and --grpc-port")

    def stop(self) -> None:
        """End the server and its stubs; nothing of them is left then. Does nothing when none runs."""
        self._end(None)
        self._drop_log()

    # -- inside --------------------------------------------------------------------------------------------
    def _try_start(self, server: Path, backends: Path, env: dict[str, str], ports: tuple[int, ...]) -> bool:
        """False when a port was taken between choosing and binding."""
        if self._log is None:
            handle, name = tempfile.mkstemp(prefix="gpu_infer-triton-", suffix=".log")
            os.close(handle)
            self._log = Path(name)
        start_of_log = self._log.stat().st_size if self._log.exists() else 0
        with self._open_log() as stream:
            command = [str(server), *self._options(backends, ports)]
            temporary = str(self._log) if self._own_log else ""
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", guard.__file__, str(_GRACE_S), temporary, *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stream,
                start_new_session=True,  # Ctrl-C in the terminal is for us to answer
                env=env,
            )
        try:
            assert self._guard.stdout is not None
            self.pid = int(self._guard.stdout.readline() or 0) or None
            if self._wait_ready(ports[0]):
                guard.protect_regions(guard.region_prefix(self._guard.pid))  # before anybody here sends a voxel
                return True
            reason = failure_reason(self._log, start_of_log)
            taken = port_was_taken(self._log, start_of_log)
        except BaseException:
            self._end(signal.SIGKILL)
            self._drop_log()
            raise
        self._end(None)
        if taken and 0 in self._requested_ports:
            return False
        remedy = f"its log is {self.keep_log()}"
        if "shared memory pool" in reason:
            remedy = f"{SMALL_POOL}; {remedy}"
        raise ServerError(f"the local Triton gave up: {reason}", remedy=remedy)

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

    def _options(self, backends: Path, ports: tuple[int, ...]) -> list[str]:
        options = [f"--model-repository={folder}" for folder in self.models]
        options += [
            f"--backend-directory={backends}",
            f"--http-address={ADDRESS}",
            f"--http-port={ports[0]}",
            f"--grpc-address={ADDRESS}",
            f"--grpc-port={ports[1]}",
            "--reuse-http-port=false",
            "--reuse-grpc-port=false",
            "--model-control-mode=none",
            "--exit-timeout-secs=5",
            "--allow-metrics=false",
        ]
        return options

    def _wait_ready(self, port: int) -> bool:
        """False when the server ended by itself."""
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
        process, self._guard = self._guard, None
        if process is None:
            return
        if signum is not None and self.pid is not None and process.poll() is None:
            # While the guard lives the server is not reaped, so the pid cannot belong to anybody else.
            os.killpg(self.pid, signum)
        assert process.stdin is not None
        assert process.stdout is not None
        # The guard stops the server, kills its group and removes its regions. The byte tells it even when a
        # forked child holds the pipe open.
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
    """Serve until SIGTERM (exit code 0) or SIGINT (130); returns the exit code. Call it from the main thread.

    `on_ready` is called once with the running server. Raises what LocalServer raises, and ServerError when
    the server ends by itself.
    """
    got: list[int] = []
    previous = {s: signal.signal(s, lambda signum, _frame: got.append(signum)) for s in _END_SIGNALS}
    try:
        with LocalServer(models, http_port, grpc_port, log, on_line=on_line) as server:
            if on_ready is not None and not got:
                on_ready(server)
            while not got:
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
    return 130 if signal.SIGINT in got else 0


def _repository(folder: Path) -> Path:
    path = Path(folder).resolve()
    if not path.is_dir():
        raise ConfigError(f"model repository {folder} is not a folder", remedy="give a folder that holds model folders")
    if (path / "config.pbtxt").is_file():
        raise ConfigError(f"{folder} is a model, not a model repository", remedy=f"give its parent, {path.parent}")
    if not any(entry.is_dir() for entry in path.iterdir()):
        raise ConfigError(
            f"model repository {folder} holds no model folder",
            remedy="expected NAME/config.pbtxt and NAME/1/…",
        )
    return path
