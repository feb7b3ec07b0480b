"""Where DICOM files are sent: an application entity, or a DICOMweb server."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from gpu_infer.errors import ConfigError

_ENTITY = re.compile(r"([^@\\\s][^@\\]{0,15})@(\[[0-9A-Fa-f:.]+\]|[^@:/\s\[\]]+):([0-9]{1,5})")
_EXPECTED = "AETITLE@HOST:PORT or the http(s):// address of a DICOMweb server"


@dataclass(frozen=True)
class Entity:
    """An application entity, which takes files by C-STORE."""

    title: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.title}@{self.host}:{self.port}"


@dataclass(frozen=True)
class WebServer:
    """A DICOMweb server, which takes files by STOW-RS below `url`."""

    url: str

    def __str__(self) -> str:
        return self.url


Address = Entity | WebServer


def parse_address(text: str) -> Address:
    """The address in `text`: AETITLE@HOST:PORT, http://… or https://…

    Raises ConfigError for any other text. User names and passwords in an address are refused, because reports and logs
    show it.
    """
    if text.startswith(("http://", "https://")):
        try:
            parts = urlsplit(text)
            is_whole = bool(parts.hostname) and (parts.port is None or parts.port > 0)
        except ValueError:
            is_whole = False
        if "@" in text:
            raise ConfigError(
                "--send: found a password or user name in the address, expected http(s)://HOST/PATH",
                remedy="put credentials into GPU_INFER_DICOMWEB_AUTHORIZATION",
            )
        if not is_whole:
            raise ConfigError(f"--send: found {text!r}, expected http(s)://HOST/PATH", remedy="check the address")
        if parts.query or parts.fragment:
            raise ConfigError(
                f"--send: found {text!r}, expected no ? and # in it", remedy="give the address above /studies"
            )
        return WebServer(text.rstrip("/"))
    match = _ENTITY.fullmatch(text)
    if match is None or not 0 < int(match[3]) < 65536:
        raise ConfigError(f"--send: found {text!r}, expected {_EXPECTED}", remedy="for example ORTHANC@pacs:4242")
    return Entity(match[1], match[2].strip("[]"), int(match[3]))
