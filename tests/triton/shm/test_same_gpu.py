"""CUDA IPC needs one card under one number: messages, doctor and report name the card of this process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cudasim import memory
from cudasim.simulated import simulated_cupy
from triton_fakes import FakeServer, HostBackend

from gpu_infer.doctor import host
from gpu_infer.doctor.transports import check_transports
from gpu_infer.errors import ServerError
from gpu_infer.settings import Settings
from gpu_infer.triton.client.server import Server
from gpu_infer.triton.transport import CHECK, DATA_TRANSPORTS, Transport

pytestmark = pytest.mark.usefixtures("no_leftovers")

UUID = "GPU-11121314-1516-1718-191a-1b1c1d1e1f20"
SECOND = {"number": 1, "name": "Simulated", "uuid": UUID, "pci": "0000:3c:00.0", "visible": "1,0"}


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Two cards, of which the second is current."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,0")
    with simulated_cupy(devices=2) as module:
        from gpu_infer.backends.gpu.device.cupy_import import cupy

        monkeypatch.setattr(cupy.cuda.runtime, "getDevice", lambda: 1)
        yield module


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> FakeServer:
    fake = FakeServer()
    monkeypatch.setattr(Server, "connect", lambda *args, **kwargs: fake)
    return fake


def test_a_card_is_known_by_what_nvidia_smi_lists(simulated: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = simulated.GpuBackend()
    assert backend.identity().summary() == SECOND
    assert str(backend.identity()) == f"device 1: Simulated, {UUID}, PCI 0000:3c:00.0, CUDA_VISIBLE_DEVICES=1,0"
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert str(backend.identity()).endswith("PCI 0000:3c:00.0, no CUDA_VISIBLE_DEVICES")


@pytest.mark.parametrize(
    ("name", "uuid", "expected"),
    [
        (b"NVIDIA A100-SXM4-40GB MIG 1g.5gb", b"\x01" * 16, "MIG-01010101-0101-0101-0101-010101010101"),
        (b"NVIDIA H100", b"\xff" * 7, None),  # ended at a zero byte
        (b"NVIDIA H100", b"\xab" * 16 + b"luid", "GPU-abababab-abab-abab-abab-abababababab"),
        (b"Orin", None, None),
    ],
)
def test_what_cupy_tells_of_a_card(
    simulated: Any, monkeypatch: pytest.MonkeyPatch, name: bytes, uuid: bytes | None, expected: str | None
) -> None:
    from gpu_infer.backends.gpu.device.cupy_import import cupy

    properties = {"name": name, "multiProcessorCount": 4} | ({} if uuid is None else {"uuid": uuid})
    monkeypatch.setattr(cupy.cuda.runtime, "getDeviceProperties", lambda number: properties)
    card = simulated.GpuBackend().identity()
    assert (card.name, card.uuid) == (name.decode(), expected)
    assert "None" not in str(card)


def test_a_refusal_names_the_card(simulated: Any) -> None:
    server = FakeServer()
    server.refuse["cuda"] = ServerError("failed to register shared memory region: invalid args")
    transport = Transport(server, simulated.GpuBackend(), ("cuda_shm",))  # type: ignore[arg-type]
    with pytest.raises(ServerError, match="invalid args") as caught:
        transport.probe()
    assert caught.value.remedy == f"{CHECK['cuda_shm']}; the client's is {transport.backend.identity()}"  # type: ignore[attr-defined]
    assert "the same GPU under the same number (CUDA_VISIBLE_DEVICES alike in both)" in CHECK["cuda_shm"]


def test_the_number_of_the_card_is_what_is_registered(simulated: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from triton_fakes import FakeClient

    sent: list[int] = []

    def register(self: Any, name: str, handle: bytes, device: int, nbytes: int, timeout: float = 1.0) -> None:
        sent.append(device)
        raise ServerError("invalid device ordinal")

    monkeypatch.setattr(FakeClient, "register_cuda_region", register)
    transport = Transport(FakeServer(), simulated.GpuBackend(), DATA_TRANSPORTS)  # type: ignore[arg-type]
    transport.probe()
    assert sent == [1]
    assert f"the client's is device 1: Simulated, {UUID}" in transport.skipped[0][1]


def test_the_report_has_the_card(simulated: Any) -> None:
    server = FakeServer()
    server.refuse["cuda"] = ServerError("invalid args")
    transport = Transport(server, simulated.GpuBackend(), DATA_TRANSPORTS)  # type: ignore[arg-type]
    transport.probe()
    assert transport.chosen()["gpu"] == SECOND
    assert "gpu" not in Transport(server, HostBackend(), DATA_TRANSPORTS).chosen()  # type: ignore[arg-type]


def test_a_card_that_does_not_answer_hides_no_refusal(simulated: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from gpu_infer.backends.gpu.device.cupy_import import cupy

    def broken(number: int) -> None:
        raise memory.CUDARuntimeError(46, "cudaErrorDevicesUnavailable: devices unavailable")

    server = FakeServer()
    server.refuse["cuda"] = ServerError("invalid args")
    transport = Transport(server, simulated.GpuBackend(), ("cuda_shm",))  # type: ignore[arg-type]
    monkeypatch.setattr(cupy.cuda.runtime, "getDeviceProperties", broken)
    with pytest.raises(ServerError, match="invalid args") as caught:
        transport.probe()
    assert caught.value.remedy == CHECK["cuda_shm"]
    assert "gpu" not in transport.chosen()


def test_doctor_tells_the_card(simulated: Any, server: FakeServer) -> None:
    server.refuse["cuda"] = ServerError("invalid args")
    settings = Settings(*map(Path, ("input", "output", "logs", "config")), device="gpu")
    data, checks = check_transports(settings, server, simulated.GpuBackend())  # type: ignore[arg-type]
    assert data == "system_shm"
    card = f"device 1: Simulated, {UUID}, PCI 0000:3c:00.0, CUDA_VIS"
    gpu, shm, transport = checks
    assert (gpu.name, gpu.status, gpu.found) == ("shared GPU", "warn", "invalid args")
    assert gpu.remedy is not None
    assert f"the client's is {card}" in gpu.remedy
    assert (shm.name, shm.status) == ("shared /dev/shm", "ok")
    assert transport.found.startswith(f"system_shm on the gpu ({card}")


def test_doctor_lists_every_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(
        '#!/bin/sh\ncase "$1" in *name,uuid,*) ;; *) exit 2 ;; esac\n'
        "echo 'NVIDIA H100, GPU-1, 81559 MiB, 550.54'\necho 'NVIDIA H100, GPU-2, 81559 MiB, 550.54'\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(host.importlib.util, "find_spec", lambda _: None)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert host.check_gpu().found == (
        "0: NVIDIA H100, GPU-1, 81559 MiB, 550.54; 1: NVIDIA H100, GPU-2, 81559 MiB, 550.54; CUDA_VISIBLE_DEVICES=1; "
        "cupy is not installed"
    )
