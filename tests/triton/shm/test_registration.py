"""Memory that a server may still write to is not used again, and the file that names its region stays."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cudasim.simulated import simulated_cupy
from triton_fakes import DeviceBackend, FakeClient, FakeServer, HostBackend

from gpu_infer.errors import DeadlineError, ResourceError, ServerError
from gpu_infer.triton.client.failures import ConnectionLost, RegionBusy
from gpu_infer.triton.client.listening import nobody_listens
from gpu_infer.triton.shm.host_arenas import SystemArena
from gpu_infer.triton.shm.leftovers import clean, find_leftovers
from gpu_infer.triton.shm.naming import SHM_FOLDER
from gpu_infer.triton.shm.registration import close_unreported
from gpu_infer.triton.transport import Transport, release

pytestmark = pytest.mark.usefixtures("no_leftovers")

BLOCK = 4 << 20


class LateClient(FakeClient):
    """Requests arrive, answers do not."""

    server: LateServer

    def register_cuda_region(self, *args: Any, **kwargs: Any) -> None:
        super().register_cuda_region(*args, **kwargs)
        self.server.fail("registering")

    def register_system_region(self, *args: Any, **kwargs: Any) -> None:
        super().register_system_region(*args, **kwargs)
        self.server.fail("registering")


class LateServer(FakeServer):
    how: type[ServerError] | None = None  # what calls end with; None: they are answered

    def client(self) -> LateClient:
        return LateClient(self)

    def fail(self, what: str) -> None:
        if self.how is not None:
            # For every try: nothing is unregistered before `answer`.
            self.unregister_errors = [self.how(f"unregistering did not end {k}") for k in range(20)]
            raise self.how(f"{what} did not end")

    def answer(self) -> None:
        self.how = None
        self.unregister_errors = []


@pytest.fixture
def address() -> Iterator[str]:
    """An address at which a process listens: a proxy, or a server that hangs."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def nobody(address: str) -> str:
    """An address at which no process listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return f"127.0.0.1:{port}"


def clean_up(server: LateServer) -> list[str]:
    """Names that a clean-up finds here and on the server, and removes."""
    server.answer()
    client = server.client()
    leftovers = [item for item in find_leftovers(client) if item.region is not None]
    clean(leftovers, client)
    assert not server.regions
    return [item.name for item in leftovers]


@pytest.mark.parametrize("how", [DeadlineError, ConnectionLost])
def test_a_block_whose_registering_was_cut_off_is_not_used_again(address: str, how: type[ServerError]) -> None:
    with simulated_cupy() as simulated:
        backend = simulated.GpuBackend()
        server = LateServer(url=address)
        server.devices = _AnyHandle()
        server.how = how
        with pytest.raises(how if how is ConnectionLost else ServerError, match="registering did not end"):
            Transport(server, backend, ("cuda_shm",)).arena(BLOCK)  # type: ignore[arg-type]
        memory = backend._device.memory
        assert (len(memory._idle), len(memory._lost)) == (0, 1)
        (name,) = server.regions
        assert (SHM_FOLDER / name).exists()
        assert clean_up(server) == [name]


@pytest.mark.parametrize("how", [DeadlineError, ConnectionLost])
def test_a_segment_whose_registering_was_cut_off_keeps_its_file(address: str, how: type[ServerError]) -> None:
    server = LateServer(url=address)
    server.how = how
    with pytest.raises(ServerError, match="registering did not end"):
        Transport(server, HostBackend(), ("system_shm",)).arena(BLOCK)  # type: ignore[arg-type]
    (name,) = server.regions
    assert clean_up(server) == [name]


class OvertakenClient(FakeClient):
    """The server takes up the registering after the unregistering, in the instant before the file is removed."""

    server: OvertakenServer

    def register_system_region(self, *args: Any, **kwargs: Any) -> None:
        self.server.under_way = lambda: FakeClient.register_system_region(self, *args, **kwargs)
        raise self.server.end

    def unregister_region(self, name: str, kind: Any = "system", timeout: float = 1.0) -> None:
        super().unregister_region(name, kind, timeout)
        if self.server.under_way is not None and (SHM_FOLDER / name).exists():
            self.server.under_way()
            self.server.under_way = None


class OvertakenServer(FakeServer):
    end: BaseException
    under_way: Callable[[], None] | None = None

    def client(self) -> OvertakenClient:
        return OvertakenClient(self)


@pytest.mark.parametrize("end", [KeyboardInterrupt(), ConnectionLost("reset"), DeadlineError("no answer in 10 s")])
def test_a_registering_that_unregistering_overtakes_leaves_nothing(address: str, end: BaseException) -> None:
    """Without a file, no clean-up would find its region."""
    server = OvertakenServer(url=address)
    server.end = end
    before = set(SHM_FOLDER.glob("gpu_infer-*"))
    with pytest.raises((KeyboardInterrupt, ServerError)):
        Transport(server, HostBackend(), ("system_shm",)).arena(BLOCK)  # type: ignore[arg-type]
    assert server.under_way is None
    assert set(SHM_FOLDER.glob("gpu_infer-*")) == before
    assert not server.regions


def test_a_registering_that_never_arrived_leaves_nothing(nobody: str) -> None:
    server = LateServer(url=nobody)
    server.refuse = {kind: ConnectionLost("connection refused") for kind in ("system", "cuda")}
    server.unregister_errors = [ConnectionLost("connection refused") for _ in range(20)]
    for backend, choice in ((HostBackend(), "system_shm"), (DeviceBackend(server), "cuda_shm")):
        before = set(SHM_FOLDER.glob("gpu_infer-*"))
        with pytest.raises(ConnectionLost, match="refused"):
            Transport(server, backend, (choice,)).arena(BLOCK)  # type: ignore[arg-type]
        assert set(SHM_FOLDER.glob("gpu_infer-*")) == before


def test_a_refused_registering_leaves_nothing(address: str) -> None:
    """An answer: the server does not know the region."""
    with simulated_cupy() as simulated:
        backend = simulated.GpuBackend()
        server = LateServer(url=address)
        server.refuse["cuda"] = ServerError("failed to register shared memory region: invalid args")
        with pytest.raises(ServerError, match="invalid args"):
            Transport(server, backend, ("cuda_shm",)).arena(BLOCK)  # type: ignore[arg-type]
        assert len(backend._device.memory._idle) == 1
        assert not backend._device.memory._lost


# -- the end of a region that was used -------------------------------------------------------------------------
def segment(server: FakeServer) -> tuple[SystemArena, Any]:
    arena, registration = Transport(server, HostBackend(), ("system_shm",)).arena(BLOCK)  # type: ignore[arg-type]
    assert isinstance(arena, SystemArena)
    return arena, registration


def test_without_a_free_descriptor_the_end_is_left_to_a_later_call(address: str) -> None:
    """The end of a run must release what else it has."""
    server = LateServer(url=address)
    arena, registration = segment(server)
    server.unregister_errors = [ResourceError("0 more files may be opened") for _ in range(2)]
    assert not registration.try_close()
    assert not registration.close()
    assert arena.path.exists()
    release(arena, registration)
    assert not arena.path.exists()
    assert not server.regions


def test_a_lost_connection_is_tried_once_more(address: str) -> None:
    server = LateServer(url=address)
    arena, registration = segment(server)
    server.unregister_errors = [ConnectionLost("reset by peer")]
    release(arena, registration)
    assert not server.regions
    assert not arena.path.exists()


def test_a_proxy_that_answers_for_the_server_does_not_make_it_gone(
    address: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = LateServer(url=address)
    arena, registration = segment(server)
    server.unregister_errors = [ConnectionLost("no healthy upstream") for _ in range(20)]
    release(arena, registration)
    assert arena.path.exists()
    assert "could not be unregistered, remove it later with gpu-infer doctor --clean: no healthy" in caplog.text
    assert clean_up(server) == [arena.name]


def test_a_server_that_refuses_connections_has_forgotten_the_region(
    nobody: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = LateServer(url=nobody)
    arena, registration = segment(server)
    server.unregister_errors = [ConnectionLost("connection refused") for _ in range(20)]
    release(arena, registration)
    assert not arena.path.exists()
    assert "could not be unregistered" not in caplog.text


def test_a_server_that_stops_with_the_run_takes_the_region_with_it(
    address: str, nobody: str, caplog: pytest.LogCaptureFixture
) -> None:
    """No advice to clean up what the end of the run removes."""
    caplog.set_level("INFO")
    server = LateServer(url=address, stops_with_run=True)
    arena, registration = segment(server)
    server.unregister_errors = [RegionBusy("in use") for _ in range(20)]
    release(arena, registration, drain_s=0.0)
    assert arena.path.exists()
    assert caplog.text == ""
    server.url = nobody  # stopped
    server.unregister_errors = [ConnectionLost("connection refused") for _ in range(20)]
    close_unreported()
    assert not arena.path.exists()
    assert "doctor" not in caplog.text


def test_who_listens(address: str, nobody: str) -> None:
    assert not nobody_listens(address, 1.0)
    assert nobody_listens(nobody, 1.0)
    assert nobody_listens(f"localhost:{nobody.rpartition(':')[2]}", 1.0)
    assert not nobody_listens("no-such-host.invalid:8001", 1.0)


def test_a_host_that_is_silent_tells_nothing(monkeypatch: pytest.MonkeyPatch, nobody: str) -> None:
    def connect(address: Any, timeout: float, **options: Any) -> None:
        raise ExceptionGroup("create_connection failed", [ConnectionRefusedError(111, "refused"), TimeoutError()])

    monkeypatch.setattr(socket, "create_connection", connect)
    assert not nobody_listens(nobody, 1.0)


class _AnyHandle(dict[bytes, Any]):
    """Opens every handle."""

    def __missing__(self, handle: bytes) -> Any:
        class Block:
            def view(self, *args: Any) -> Any:
                return None

        return Block()
