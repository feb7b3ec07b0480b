"""The card that the backend runs on, in the terms of nvidia-smi, for comparison with another process's."""

from __future__ import annotations

import os
import uuid
from dataclasses import asdict, dataclass
from typing import Any

from gpu_infer.backends.gpu.device.cupy_import import cupy

VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Identity:
    """One device as this process sees it.

    number   CUDA's ordinal: counted over what CUDA_VISIBLE_DEVICES leaves, and so another one in another process
    uuid     as `nvidia-smi -L` lists it ("GPU-…", "MIG-…" for a part of a card); None if CuPy does not report it
    pci      "0000:3b:00.0", the address of the card; parts of one card share it
    visible  CUDA_VISIBLE_DEVICES of this process, None if it is not set
    """

    number: int
    name: str
    uuid: str | None
    pci: str
    visible: str | None

    def summary(self) -> dict[str, Any]:
        """For the report: the fields by name."""
        return asdict(self)

    def __str__(self) -> str:
        known = [f"device {self.number}: {self.name}", *([self.uuid] if self.uuid else []), f"PCI {self.pci}"]
        return ", ".join([*known, f"{VISIBLE}={self.visible}" if self.visible is not None else f"no {VISIBLE}"])


def identity_of(number: int) -> Identity:
    """The device of that ordinal. Raises CuPy's CUDARuntimeError."""
    properties = cupy.cuda.runtime.getDeviceProperties(number)
    name = bytes(properties["name"]).split(b"\0")[0].decode(errors="replace")
    return Identity(
        number,
        name,
        _uuid(properties.get("uuid"), "MIG" if " MIG " in name else "GPU"),
        str(cupy.cuda.runtime.deviceGetPCIBusId(number)).lower(),
        os.environ.get(VISIBLE),
    )


def _uuid(raw: bytes | None, prefix: str) -> str | None:
    """CuPy reads the 16 bytes as a C string: one with a zero byte ends there, and what follows it is not known."""
    if raw is None or len(raw) < 16:
        return None
    return f"{prefix}-{uuid.UUID(bytes=bytes(raw)[:16])}"
