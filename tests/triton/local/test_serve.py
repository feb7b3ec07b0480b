"""The local Triton as a process: addresses, ends of every kind, reasons of failure."""

from __future__ import annotations

import errno
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from real_server import kill, restart

from gpu_infer.errors import ConfigError, DeadlineError, ServerError
from gpu_infer.triton.local import serve
from gpu_infer.triton.local.segments import remove_leftovers
from gpu_infer.triton.local.serve import LocalServer
from gpu_infer.triton.local.supervisor import region_prefix
from gpu_infer.triton.shm.naming import SHM_FOLDER

pytestmark = pytest.mark.slow

TOYS = Path(__file__).parents[2] / "models"


def copy_model(name: str, folder: Path) -> None:
    shutil.copytree(TOYS / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository of one model that a test may spoil."""
    folder = tmp_path / "repository"
    copy_model("threshold_half", folder)
    return folder


def status(address: str, path: str = "/v2/health/ready") -> int | None:
    host, port = address.split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return None
    finally:
        connection.close()


def alive(pid: int) -> bool:
    try:
        return Path("/proc", str(pid), "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def eventually(check: Callable[[], bool], seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while not check() and time.monotonic() < deadline:
        time.sleep(0.05)
    return check()


def regions(supervisor: int) -> set[str]:
    return {path.name for path in SHM_FOLDER.glob(f"{region_prefix(supervisor)}*")}


def supervisor_of(server: LocalServer) -> int:
    assert server._supervisor is not None
    return server._supervisor.pid


def processes_about(folder: Path) -> list[str]:
    """Command lines, of any process, that name `folder`."""
    lines = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if str(folder) in line:
            lines.append(line)
    return lines


def test_serves_until_stopped_and_leaves_nothing(repository: Path) -> None:
    with LocalServer(repository) as server:
        assert server.running
        assert status(server.http) == 200
        assert status(server.http, "/v2/models/threshold_half/ready") == 200
        assert server.http.startswith("127.0.0.1:")
        assert server.grpc != server.http
        pid, log = server.pid, server.log_file
        assert pid is not None
        assert log is not None
        assert "Started HTTPService" in log.read_text()
        supervisor = supervisor_of(server)
        assert regions(supervisor)
        assert {(SHM_FOLDER / name).stat().st_mode & 0o077 for name in regions(supervisor)} == {0}
        assert processes_about(repository)
    assert not server.running
    assert not alive(pid)
    assert not processes_about(repository)
    assert not regions(supervisor)
    assert not log.exists()
    assert status(server.http) is None


def test_kill_then_restart_keeps_the_ports(repository: Path) -> None:
    with LocalServer(repository) as server:
        addresses = (server.http, server.grpc)
        supervisor = supervisor_of(server)
        kill(server)
        assert not server.running
        assert status(addresses[0]) is None
        assert not regions(supervisor)
        restart(server)
        assert (server.http, server.grpc) == addresses
        assert status(server.http) == 200


def test_two_repositories_and_a_log_file(repository: Path, tmp_path: Path) -> None:
    second = tmp_path / "second"
    copy_model("classes5", second)
    log = tmp_path / "logs" / "triton.log"
    with LocalServer([repository, second], log=log) as server:
        for name in ("threshold_half", "classes5"):
            assert status(server.http, f"/v2/models/{name}/ready") == 200
    assert "Started HTTPService" in log.read_text()


def owner(repository: Path, body: str) -> subprocess.Popen[str]:
    """Another Python that starts a server, prints its pids and runs `body`."""
    code = textwrap.dedent(
        f"""
        import os, signal, sys, threading, time
        from pathlib import Path
        from gpu_infer.triton.local.serve import LocalServer
        server = LocalServer(Path({str(repository)!r}))
        server.start()
        print(server.pid, server._supervisor.pid, server.log_file, flush=True)
        """
    ) + textwrap.dedent(body)
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, encoding="utf-8")


@pytest.mark.parametrize(
    "body",
    [
        "os.kill(os.getpid(), signal.SIGKILL)",
        "os.kill(os.getpid(), signal.SIGTERM)",
        "raise SystemExit(3)",
        "os.abort()",
    ],
    ids=["sigkill", "sigterm", "exit", "abort"],
)
def test_the_server_ends_with_its_owner(repository: Path, body: str) -> None:
    with owner(repository, body) as process:
        assert process.stdout is not None
        server, supervisor, log = process.stdout.readline().split()
        process.wait(30)
    assert eventually(lambda: not alive(int(server)) and not alive(int(supervisor)))
    assert not regions(int(supervisor))
    assert not Path(log).exists()


def test_a_process_that_cannot_be_started_leaves_no_log(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server, logs = LocalServer(repository), []

    def refuse(*_: object, **__: object) -> None:
        logs.append(server.log_file)
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with pytest.raises(BlockingIOError):
        server.start()
    (log,) = logs
    assert log is not None
    assert not log.exists()


def test_a_finished_thread_does_not_end_the_server(repository: Path) -> None:
    import threading

    server = LocalServer(repository)
    thread = threading.Thread(target=server.start)
    thread.start()
    thread.join()
    try:
        time.sleep(0.5)
        assert status(server.http) == 200
    finally:
        server.stop()


def test_a_killed_supervisor_takes_the_server_with_it(repository: Path) -> None:
    server = LocalServer(repository)
    server.start()
    pid, supervisor = server.pid, supervisor_of(server)
    assert pid is not None
    os.kill(supervisor, signal.SIGKILL)
    assert eventually(lambda: not alive(pid))
    server.stop()
    remove_leftovers()
    assert not regions(supervisor)


def test_a_model_that_fails_to_load_is_named(repository: Path) -> None:
    model = repository / "threshold_half" / "1" / "model.py"
    model.unlink()
    model.write_text("raise RuntimeError('weights are missing')\n")
    server = LocalServer(repository)
    with pytest.raises(ServerError, match=r"model 'threshold_half' failed to load: .*weights are missing") as caught:
        server.start()
    assert not server.running
    assert server.log_file is not None
    assert str(server.log_file) in str(caught.value)
    assert "\n" not in str(caught.value)
    server.log_file.unlink()


def test_a_model_without_a_version_folder_is_named(tmp_path: Path) -> None:
    """Triton itself says no more than "failed to load all models"."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "config.pbtxt").write_text('backend: "python"\nmax_batch_size: 1\n')
    server = LocalServer(tmp_path)
    with pytest.raises(
        ServerError, match=rf"model 'empty' has no version folder \(put its file into {tmp_path}/empty/1"
    ):
        server.start()
    assert server.log_file is not None
    server.log_file.unlink()


def test_a_broken_configuration_is_named(repository: Path, tmp_path: Path) -> None:
    (repository / "threshold_half" / "config.pbtxt").write_text("max_batch_size: many\n")
    with pytest.raises(ServerError, match="threshold_half"):
        LocalServer(repository, log=tmp_path / "log").start()


def slow_to_load(repository: Path) -> None:
    model = repository / "threshold_half" / "1" / "model.py"
    text = model.read_text()
    model.unlink()
    model.write_text(text.replace("import json", "import time\ntime.sleep(60)\nimport json", 1))


def test_an_interrupted_start_leaves_no_log(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow_to_load(repository)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    server = LocalServer(repository)

    def interrupt(port: int) -> bool:
        assert list(tmp_path.glob("gpu_infer-triton-*.log"))
        raise KeyboardInterrupt

    monkeypatch.setattr(serve, "is_ready", interrupt)
    with pytest.raises(KeyboardInterrupt):
        server.start()
    assert not list(tmp_path.glob("gpu_infer-triton-*.log"))
    assert eventually(lambda: not processes_about(repository))


def test_waiting_has_a_deadline(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow_to_load(repository)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    server = LocalServer(repository, wait_s=1.0)
    with pytest.raises(DeadlineError, match="not ready after 1 s") as caught:
        server.start()
    (log,) = tmp_path.glob("gpu_infer-triton-*.log")
    assert f"its log is {log}" in str(caught.value)
    assert not server.running
    assert eventually(lambda: not processes_about(repository))


def test_a_taken_port_is_refused_before_anything_starts(repository: Path) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        port = held.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port} on 127.0.0.1 cannot be used"):
            LocalServer(repository, http_port=port).start()


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_foreground_ends_on_a_signal(repository: Path, signum: signal.Signals, code: int) -> None:
    body = f"""
        import sys
        from pathlib import Path
        from gpu_infer.triton.local.serve import serve_foreground
        def ready(server):
            print(server.http, server.pid, flush=True)
        sys.exit(serve_foreground(Path({str(repository)!r}), 0, 0, on_ready=ready))
    """
    command = [sys.executable, "-c", textwrap.dedent(body)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8") as process:
        assert process.stdout is not None
        address, pid = process.stdout.readline().split()
        assert status(address) == 200
        process.send_signal(signum)
        assert process.wait(30) == code
    assert not alive(int(pid))


def test_foreground_reports_a_server_that_ends_by_itself(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gpu_infer.triton.local.serve import serve_foreground

    def crash(server: LocalServer) -> None:
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(ServerError, match="ended by itself") as caught:
        serve_foreground(repository, 0, 0, on_ready=crash)
    (log,) = tmp_path.glob("gpu_infer-triton-*.log")
    assert f"its log is {log}" in str(caught.value)
    assert signal.getsignal(signal.SIGTERM) is before
