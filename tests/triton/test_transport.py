"""The order of data transports: which are tried, why they are skipped, and that a named one never falls back."""

from __future__ import annotations

from typing import Any

import pytest
from triton_fakes import DeviceBackend, FakeServer, HostBackend

from gpu_infer.errors import ConfigError, DeadlineError, ResourceError, ServerError
from gpu_infer.triton import transport as module
from gpu_infer.triton.client.endpoints import Endpoints
from gpu_infer.triton.client.failures import ConnectionLost
from gpu_infer.triton.client.server import Server
from gpu_infer.triton.shm.host_arenas import HostArena, SystemArena
from gpu_infer.triton.transport import Transport, open_transport, release

pytestmark = pytest.mark.usefixtures("no_leftovers")

HERE = Endpoints(grpc="fake:1")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> FakeServer:
    fake = FakeServer()
    monkeypatch.setattr(Server, "connect", lambda *args, **kwargs: fake)
    return fake


def opened(backend: Any, **options: Any) -> Transport:
    return open_transport(HERE, backend, **options)


def test_cpu_takes_system_memory_and_says_why_not_cuda(server: FakeServer) -> None:
    transport = opened(HostBackend())
    assert transport.data == "system_shm"
    assert transport.control == "grpc"
    assert [choice for choice, _ in transport.skipped] == ["cuda_shm"]
    assert "the cpu backend has no device memory" in transport.skipped[0][1]
    assert server.log == ["register system", "unregister system"]
    assert not server.regions


def test_gpu_takes_cuda(server: FakeServer) -> None:
    backend = DeviceBackend(server)
    transport = opened(backend)
    assert (transport.data, transport.skipped) == ("cuda_shm", [])
    arena, registration = transport.arena(8192)
    assert registration is not None
    assert server.regions[registration.name].kind == "cuda"
    arena.view(0, (3,), "u1")[:] = 7
    assert server.memory[registration.name][:4].tolist() == [7, 7, 7, 0]
    release(arena, registration)
    assert not server.regions
    assert all(block.closed for block in backend.blocks)


def test_server_that_refuses_shared_memory(server: FakeServer) -> None:
    """Releases from 2.69 on, started without the flag; the reason names it."""
    server.refuse["system"] = ServerError("registering: shared memory is disabled, see --allow-client-shm")
    transport = opened(HostBackend())
    assert transport.data == "inline"
    assert "--allow-client-shm=true" in transport.skipped[1][1]
    arena, registration = transport.arena(100)
    assert isinstance(arena, HostArena)
    assert registration is None
    release(arena, registration)


def test_remote_server(server: FakeServer) -> None:
    server.refuse["system"] = ServerError("Unable to open shared memory region: '/gpu_infer-1'")
    transport = opened(HostBackend())
    assert transport.data == "inline"
    assert "--ipc=host" in transport.skipped[1][1]


@pytest.mark.parametrize("option", ["require", "data"])
def test_a_named_choice_never_falls_back(server: FakeServer, option: str) -> None:
    with pytest.raises(ServerError, match="data cuda_shm cannot be used: the cpu backend has no device memory"):
        opened(HostBackend(), **{option: "cuda_shm"})
    server.refuse["cuda"] = ServerError("failed to register shared memory region: invalid args")
    with pytest.raises(ServerError, match="invalid args") as caught:
        opened(DeviceBackend(server), **{option: "cuda_shm"})
    for hint in ("same GPU", "--pid=host", "WSL", "Jetson", "MIG"):
        assert hint in (caught.value.remedy or "")
    assert not server.regions


def test_named_choices_that_work(server: FakeServer) -> None:
    for name in ("system_shm", "inline"):
        assert opened(HostBackend(), data=name).data == name
        assert opened(HostBackend(), require=name).skipped == []
        assert opened(HostBackend(), require=name, data=name).data == name


def test_bad_options(server: FakeServer) -> None:
    with pytest.raises(ConfigError, match="data 'shm' is unknown"):
        opened(HostBackend(), data="shm")
    with pytest.raises(ConfigError, match="require 'auto' is unknown"):
        opened(HostBackend(), require="auto")
    with pytest.raises(ConfigError, match="--require inline contradicts --data system_shm"):
        opened(HostBackend(), data="system_shm", require="inline")


def test_too_little_shared_memory_steps_down_only_where_allowed(server: FakeServer) -> None:
    huge = 1 << 50
    transport = opened(HostBackend())
    arena, registration = transport.arena(4096)
    release(arena, registration)
    fixed = opened(HostBackend(), require="system_shm")
    with pytest.raises(ResourceError, match="of shared memory"):
        fixed.arena(huge)
    with pytest.raises(ResourceError, match=r"the slots need .* of memory"):
        transport.arena(huge)  # stepped down, and private memory has no petabyte either
    assert transport.data == "inline"
    assert "MiB of shared memory" in transport.skipped[-1][1]
    assert not server.regions


def test_room_is_asked_for_before_the_plan(server: FakeServer) -> None:
    transport = opened(HostBackend())
    transport.make_room(4096)
    assert transport.data == "system_shm"
    transport.make_room(1 << 50)
    assert transport.data == "inline"
    assert "of shared memory, but /dev/shm has" in transport.skipped[-1][1]
    transport.make_room(1 << 50)  # inline data needs no shared memory
    for option in ("require", "data"):
        with pytest.raises(ResourceError, match=r"shm-size.*, or omit --data and --require"):
            opened(HostBackend(), **{option: "system_shm"}).make_room(1 << 50)


def test_advice_to_choose_only_where_a_choice_was_named(server: FakeServer) -> None:
    transport = opened(HostBackend())
    transport.make_room(1 << 50)
    assert [choice for choice, _ in transport.skipped] == ["cuda_shm", "system_shm"]
    assert not [reason for _, reason in transport.skipped if "--data" in reason or "--require" in reason]
    assert transport.skipped[0][1] == "the cpu backend has no device memory"
    with pytest.raises(ServerError, match=r"no device memory \(use --device gpu, or omit --data and --require"):
        opened(HostBackend(), data="cuda_shm")


def test_lost_connection_says_nothing_about_a_choice(server: FakeServer) -> None:
    server.refuse["system"] = ConnectionLost("gone")
    with pytest.raises(ConnectionLost, match="gone"):
        opened(HostBackend())


def test_a_registration_that_is_cut_off_is_taken_back(server: FakeServer) -> None:
    """The answer was lost, not the request: the server may know the region, before the file is removed and after."""
    server.refuse["system"] = DeadlineError("late")
    with pytest.raises(DeadlineError, match="late"):
        opened(HostBackend(), require="system_shm")
    assert server.log == ["unregister system"] * 2
    server.refuse["system"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        opened(HostBackend())
    assert server.log == ["unregister system"] * 4


def test_accepted_but_not_listed(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    from triton_fakes import FakeClient

    monkeypatch.setattr(FakeClient, "registered_regions", lambda self, timeout=1.0: {})
    transport = opened(HostBackend())
    assert transport.data == "inline"
    assert "does not list it" in transport.skipped[1][1]


def test_region_that_could_not_be_unregistered_keeps_its_file(server: FakeServer) -> None:
    """So that a later clean-up finds the region; a server that is gone has nothing to find."""
    transport = opened(HostBackend(), data="system_shm")
    for error, kept in ((DeadlineError("hangs"), True), (ConnectionLost("gone"), False)):
        arena, registration = transport.arena(4096)
        assert isinstance(arena, SystemArena)
        server.unregister_errors.append(error)
        release(arena, registration)
        assert arena.path.exists() is kept
        arena.path.unlink(missing_ok=True)


def test_endpoints_that_nobody_serves() -> None:
    with pytest.raises(DeadlineError, match=r"no Triton server ready within 0\.3 s: http 127\.0\.0\.1:9: .*; grpc"):
        open_transport(Endpoints(either="127.0.0.1:9"), HostBackend(), wait_s=0.3, interval_s=0.1)  # type: ignore[arg-type]


def test_module_says_what_to_check_for_each_choice() -> None:
    assert set(module.CHECK) == set(module.DATA_TRANSPORTS)
