"""Where a Triton server is reached: host:port per protocol, or one address whose protocol nobody said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..errors import ConfigError

ControlName = Literal["grpc", "http"]

REMEDY = "write host:port without a scheme, for example localhost:8000 (HTTP) or localhost:8001 (gRPC)"


def parse_uri(uri: str) -> tuple[str, int]:
    """("host", port) of "host:port"; an IPv6 address stands in brackets and is returned without them.

    Raises ConfigError for a scheme, a path, a missing port, a port outside 1…65535, and a host name that IDNA refuses.
    """
    text = uri.strip()
    if "://" in text:
        raise _refused(uri, "has a scheme")
    if "/" in text or "@" in text or any(c.isspace() for c in text):
        raise _refused(uri, "is more than a host and a port")
    host, colon, port = text.rpartition(":")
    if text.startswith("["):
        if not host.endswith("]"):
            raise _refused(uri, "has no port")
        host = host[1:-1]
    elif ":" in host:
        raise _refused(uri, "looks like an IPv6 address without brackets")
    if not colon or not port:
        raise _refused(uri, "has no port")
    if not host:
        raise _refused(uri, "has no host")
    try:
        host.encode("idna")
    except UnicodeError as error:
        reason = str(error.__cause__ or error).rpartition(": ")[2]
        raise _refused(uri, f"has a host name that no server can have ({reason})") from None
    if len(host) > 253 or not host.isprintable():
        raise _refused(uri, "has a host name that no server can have")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535):
        raise _refused(uri, f"has port {port!r}, expected 1 to 65535")
    return host, int(port)


def _refused(uri: str, found: str) -> ConfigError:
    return ConfigError(f"Triton address {uri!r} {found}", remedy=REMEDY)


@dataclass(frozen=True)
class Endpoints:
    """At least one address, each "host:port" without a scheme.

    http, grpc  addresses of a known protocol
    either      an address that may speak either, as NVIDIA_CLARA_TRTISURI gives it
    Raises ConfigError when none is given or one is malformed.
    """

    http: str | None = None
    grpc: str | None = None
    either: str | None = None

    def __post_init__(self) -> None:
        for name in ("http", "grpc", "either"):
            value = getattr(self, name)
            if value is not None:
                parse_uri(value)
                object.__setattr__(self, name, value.strip())
        if not any((self.http, self.grpc, self.either)):
            raise ConfigError("no Triton address given", remedy="set NVIDIA_CLARA_TRTISURI or --triton host:port")

    def candidates(self, control: str = "auto") -> list[tuple[ControlName, str]]:
        """(protocol, address) pairs in the order in which they are tried.

        control  "grpc", "http" or "auto": addresses of a known protocol come first, gRPC before HTTP.
        Raises ConfigError when no address can speak the protocol asked for.
        """
        if control not in ("auto", "grpc", "http"):
            raise ConfigError(f"control {control!r} is unknown", remedy="use auto, grpc or http")
        known: list[tuple[ControlName, str]] = []
        if self.grpc is not None:
            known.append(("grpc", self.grpc))
        if self.http is not None:
            known.append(("http", self.http))
        if self.either is not None:
            known += [("grpc", self.either), ("http", self.either)]
        found = [pair for pair in dict.fromkeys(known) if control in ("auto", pair[0])]
        if not found:
            given = ", ".join(f"{protocol} {address}" for protocol, address in known)
            raise ConfigError(
                f"control {control} was asked for, but only {given} is given",
                remedy=f"give the server's {control} address, or use --control auto",
            )
        return found
