"""The part of a bundle's metadata.json that describes the network's output."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpu_infer.errors import ConfigError
from gpu_infer.imports.bundle.files import read_document

_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")


@dataclass(frozen=True)
class OutputChannels:
    """Number of channels of the network's output, None if it is not known, and their names by index."""

    count: int | None
    names: Mapping[int, str]

    def name(self, channel: int) -> str:
        return self.names.get(channel, f"channel {channel}")

    def mask_names(self) -> dict[str, str]:
        """Names of the labels 0 and 1 of a single channel. Some bundles name its values, others the channel."""
        if 1 in self.names:
            return {"0": self.names.get(0, "background"), "1": self.names[1]}
        return {"0": "background", "1": self.name(0)}

    def field_names(self) -> list[str]:
        """One name per channel for fields and files: letters, digits, _ and -, each once."""
        names: list[str] = []
        for channel in range(self.count or 0):
            name = _UNSAFE.sub("_", self.names.get(channel, "")).strip("_-") or f"channel_{channel}"
            names.append(f"{name}_{channel}" if name in names else name)
        return names


def read_channels(path: Path) -> OutputChannels:
    """`network_data_format.outputs.pred` of metadata.json; nothing without the file or these keys.

    Raises ConfigError for a file that cannot be parsed and a number of channels that is none.
    """
    if not path.is_file():
        return OutputChannels(None, {})
    node: Any = read_document(path)
    for key in ("network_data_format", "outputs", "pred"):
        node = node.get(key, {}) if isinstance(node, dict) else {}
    if not isinstance(node, dict):
        return OutputChannels(None, {})
    count = node.get("num_channels")
    if count is not None and (type(count) is not int or count < 1):
        raise ConfigError(
            f"{path}: network_data_format.outputs.pred.num_channels: found {count!r}, expected a number from 1 on",
            remedy="correct the bundle",
        )
    names = node.get("channel_def")
    pairs = names.items() if isinstance(names, dict) else ()
    return OutputChannels(
        count, {int(k): v for k, v in pairs if str(k).isdecimal() and isinstance(v, str) and v.strip()}
    )
