"""What the server maps of this process's memory, with a server in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from triton_fakes import DeviceBackend, FakeServer, HostBackend

from gpu_infer.doctor.check import Check
from gpu_infer.doctor.transports import check_transports
from gpu_infer.errors import ServerError
from gpu_infer.settings import Settings
from gpu_infer.triton.client.failures import ALLOW, ConnectionLost, SharedMemoryOff
from gpu_infer.triton.transport import CHECK

pytestmark = pytest.mark.usefixtures("no_leftovers")


def checks_of(server: FakeServer, backend: object, **options: Any) -> tuple[str | None, dict[str, Check]]:
    settings = Settings(input=Path("in"), output=Path("out"), **options)
    data, checks = check_transports(settings, cast(Any, server), cast(Any, backend))
    return data, {check.name: check for check in checks}


def test_a_region_is_registered_and_unregistered() -> None:
    server = FakeServer()
    data, checks = checks_of(server, HostBackend())
    assert data == "system_shm"
    assert list(checks) == ["shared /dev/shm", "data transport"]
    assert {check.status for check in checks.values()} == {"ok"}
    assert server.log == ["register system", "unregister system"]
    assert server.regions == {}


def test_both_kinds_on_a_gpu() -> None:
    server = FakeServer()
    data, checks = checks_of(server, DeviceBackend(server))
    assert data == "cuda_shm"
    assert list(checks) == ["shared GPU", "shared /dev/shm", "data transport"]
    assert server.log == ["register cuda", "unregister cuda", "register system", "unregister system"]
    assert checks["data transport"].found == "cuda_shm on the gpu"


def test_a_refusal_is_a_warning_with_its_reason() -> None:
    server = FakeServer(refuse={"system": ServerError("Unable to open shared memory region: '/x'")})
    data, checks = checks_of(server, HostBackend())
    assert data == "inline"
    check = checks["shared /dev/shm"]
    assert (check.status, check.found) == ("warn", "Unable to open shared memory region: '/x'")
    assert check.remedy == CHECK["system_shm"]
    assert checks["data transport"].found == "inline on the cpu"


def test_a_server_without_shared_memory_for_clients_names_its_option() -> None:
    server = FakeServer(refuse={"system": SharedMemoryOff("Client shared memory is disabled")})
    _, checks = checks_of(server, HostBackend())
    assert checks["shared /dev/shm"].remedy == ALLOW


def test_a_refusal_of_memory_that_no_run_needs_is_no_warning() -> None:
    for options in ({"data": "inline"}, {"require": "inline"}):
        server = FakeServer(refuse={"system": ServerError("no")})
        data, checks = checks_of(server, HostBackend(), **options)
        assert data == "inline"
        assert (checks["shared /dev/shm"].status, checks["shared /dev/shm"].found) == ("ok", "refused, not needed: no")


def test_a_required_transport_that_does_not_work_fails() -> None:
    server = FakeServer(refuse={"system": ServerError("no")})
    data, checks = checks_of(server, HostBackend(), require="system_shm")
    assert data is None
    assert (checks["shared /dev/shm"].status, checks["shared /dev/shm"].exit_code) == ("fail", 4)
    assert "data transport" not in checks
    data, checks = checks_of(FakeServer(), HostBackend(), data="cuda_shm")
    assert data is None
    assert checks["shared GPU"].found == "the cpu backend has no device memory"
    assert checks["shared GPU"].remedy is not None
    assert "--device gpu" in checks["shared GPU"].remedy


def test_a_lost_connection_is_reported() -> None:
    server = FakeServer(refuse={"system": ConnectionLost("the socket was closed")})
    server.unregister_errors.append(ConnectionLost("again"))
    _, checks = checks_of(server, HostBackend())
    assert checks["shared /dev/shm"].found == "the socket was closed"
