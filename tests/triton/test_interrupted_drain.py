"""After an interrupted unregistering, the end of the interpreter unregisters the region, or its file stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from triton_fakes import DeviceBackend, FakeServer, HostBackend

from gpu_infer.errors import DeadlineError, Interrupted
from gpu_infer.triton.client.failures import RegionBusy
from gpu_infer.triton.shm import registration as module
from gpu_infer.triton.shm.leftovers import find_leftovers
from gpu_infer.triton.shm.naming import SHM_FOLDER
from gpu_infer.triton.transport import Transport, release

pytestmark = pytest.mark.usefixtures("no_leftovers")


@pytest.fixture(params=["cuda_shm", "system_shm"])
def registered(request: pytest.FixtureRequest) -> tuple[FakeServer, Any, Any]:
    """A server, a block, and its registration."""
    server = FakeServer()
    backend = DeviceBackend(server) if request.param == "cuda_shm" else HostBackend()
    arena, registration = Transport(server, backend, (request.param,)).arena(1 << 20)  # type: ignore[arg-type]
    return server, arena, registration


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C as the command takes it."""

    def raised(number: int, frame: Any) -> None:
        raise Interrupted("interrupted by SIGINT")

    before = signal.signal(signal.SIGINT, raised)
    yield
    signal.signal(signal.SIGINT, before)


def busy(server: FakeServer) -> None:
    """A request uses the region, for longer than any test waits."""
    server.unregister_errors = [RegionBusy("it is currently in use") for _ in range(10_000)]


def interrupted_release(arena: Any, registration: Any) -> None:
    timer = threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(Interrupted):
        release(arena, registration, 30.0)
    timer.join()


@pytest.mark.usefixtures("interruptible")
def test_what_an_interrupt_left_is_taken_back_at_the_end(registered: tuple[FakeServer, Any, Any]) -> None:
    server, arena, registration = registered
    name = registration.name
    busy(server)
    interrupted_release(arena, registration)
    del arena, registration  # no other reference is needed
    assert list(server.regions) == [name]
    assert (SHM_FOLDER / name).exists()
    server.unregister_errors = []
    module._close_all()
    assert not server.regions
    assert not (SHM_FOLDER / name).exists()
    assert not module._live


@pytest.mark.usefixtures("interruptible")
def test_what_is_busy_until_the_end_can_be_found(
    registered: tuple[FakeServer, Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, arena, registration = registered
    busy(server)
    interrupted_release(arena, registration)
    monkeypatch.setattr(module, "EXIT_TIMEOUT_S", 0.1)
    module._close_all()
    assert [item.name for item in find_leftovers(server.client())] == [registration.name]
    server.unregister_errors = []
    module._close_all()
    assert not find_leftovers(server.client())


def test_what_failed_is_tried_again_at_the_end(registered: tuple[FakeServer, Any, Any]) -> None:
    server, arena, registration = registered
    server.unregister_errors = [DeadlineError("unregistering did not end within 10 s")]
    release(arena, registration)
    assert (SHM_FOLDER / registration.name).exists()
    module._close_all()
    assert not server.regions
    assert not (SHM_FOLDER / registration.name).exists()


def test_the_end_does_not_wait_for_every_region(
    registered: tuple[FakeServer, Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the time limit, the files of the remaining regions stay."""
    server, arena, registration = registered
    with monkeypatch.context() as patch:
        patch.setattr(module, "EXIT_TOTAL_S", 0.0)
        module._close_all()
    assert server.log[-1].startswith("register")
    arena.close()  # as the exit handler of the segments does
    assert (SHM_FOLDER / registration.name).exists()
    module._close_all()
    assert not (SHM_FOLDER / registration.name).exists()


def test_closing_twice_asks_the_server_once(registered: tuple[FakeServer, Any, Any]) -> None:
    server, arena, registration = registered
    release(arena, registration)
    assert registration.close()
    release(arena, registration)
    assert [entry.split()[0] for entry in server.log] == ["register", "unregister"]


PROGRAM = """
import atexit, sys, threading, os, signal
sys.path.insert(0, {folder!r})
kept = []
def tell():
    server, name = kept
    print(list(server.regions), os.path.exists(f"/dev/shm/{{name}}"))
atexit.register(tell)
from triton_fakes import DeviceBackend, FakeServer
from gpu_infer.triton.client.failures import RegionBusy
from gpu_infer.triton.transport import Transport, release
server = FakeServer()
arena, registration = Transport(server, DeviceBackend(server), ("cuda_shm",)).arena(1 << 20)
kept += [server, registration.name]
server.unregister_errors = [RegionBusy("in use")] * 20
threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
release(arena, registration, 30.0)
"""


def test_a_process_that_is_interrupted_leaves_nothing() -> None:
    code = PROGRAM.format(folder=str(Path(__file__).parents[1] / "support"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", timeout=60, check=False)
    assert done.stdout == "[] False\n", done.stderr
    assert done.returncode == -signal.SIGINT
    assert "KeyboardInterrupt" in done.stderr
