"""The symptoms of docs/deploy.md are texts that a run prints."""

from __future__ import annotations

import errno
import logging
import re
from pathlib import Path
from typing import Any

import pytest
from triton_fakes import DeviceBackend, FakeServer, HostBackend

from gpu_infer.errors import DeviceError, GpuInferError, ServerError
from gpu_infer.triton.shm import host_arenas
from gpu_infer.triton.transport import DATA_TRANSPORTS, Transport
from gpu_infer.writers.atomic import folder_error

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "deploy.md").read_text(encoding="utf-8")


def _symptoms() -> list[str]:
    """The first cells that are texts, from the table of symptoms."""
    table = PAGE.split("| symptom | cause |")[1].split("\n\n")[0]
    return re.findall(r"^\| `(.+?)` \|", table, re.MULTILINE)


class NoIpc(DeviceBackend):
    """A GPU whose platform has no CUDA IPC."""

    def device_arena(self, nbytes: int) -> Any:
        raise DeviceError("CUDA IPC cannot export GPU memory: cudaErrorNotSupported: operation not supported")


def _refused(backend: Any, server: FakeServer, kind: str, text: str) -> None:
    """Log that data transport `kind` does not work because the server refuses it with `text`; none if empty."""
    if text:
        server.refuse[kind] = ServerError(text)
    Transport(server, backend, DATA_TRANSPORTS).probe()  # type: ignore[arg-type]


@pytest.fixture
def printed(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> str:
    caplog.set_level(logging.INFO)
    server = FakeServer()
    opened = "registering gpu_infer-1: Unable to open shared memory region: '/gpu_infer-1'"
    invalid = "registering gpu_infer-1: failed to register shared memory region 'gpu_infer-1': invalid args"
    _refused(DeviceBackend(server), server, "cuda", invalid)
    _refused(NoIpc(server), server, "cuda", "")
    _refused(HostBackend(), server, "system", opened)
    _refused(HostBackend(), server, "system", "shared memory is disabled: see --allow-client-shm")
    monkeypatch.setattr(host_arenas, "_free", lambda folder: 64 << 20)
    refused = folder_error(PermissionError(errno.EACCES, "Permission denied"), Path("/output"))
    with pytest.raises(GpuInferError) as caught:
        host_arenas.check_space(65 << 20, Path("/dev/shm"))
    return "\n".join([*caplog.messages, *map(str, [refused, caught.value])])


def test_every_symptom_is_printed(printed: str) -> None:
    symptoms = _symptoms()
    assert len(symptoms) == 6
    for symptom in symptoms:
        pattern = re.escape(symptom).replace(r"taking\ T:", r"taking\ \w+:").replace("…", ".*")
        assert re.search(pattern, printed), symptom
