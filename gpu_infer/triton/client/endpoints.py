"""Addresses of a Triton server: host:port for each protocol, or one address whose protocol is not known.

`https://host:port` and `grpcs://host:port` name the protocol of an encrypted connection (TLS).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from gpu_infer.errors import ConfigError
from gpu_infer.triton.client.access import Access

ControlName = Literal["grpc", "http"]

REMEDY = (
    "write host:port without a scheme, for example localhost:8000 (HTTP) or localhost:8001 (gRPC); "
    "with TLS, https://host:port or grpcs://host:port"
)
TLS_SCHEMES: dict[str, ControlName] = {"https://": "http", "grpcs://": "grpc"}


def tls_protocol(uri: str) -> ControlName | None:
    """The protocol of an address with TLS; None for an address without TLS."""
    return next((name for scheme, name in TLS_SCHEMES.items() if uri.strip().startswith(scheme)), None)


def without_scheme(uri: str) -> str:
    """The "host:port" of an address."""
    scheme, separator, rest = uri.strip().partition("://")
    return rest if separator else scheme


def parse_uri(uri: str) -> tuple[str, int]:
    """("host", port) of "host:port"; an IPv6 address needs brackets and is returned without them.

    `https://` or `grpcs://` may precede it. Raises ConfigError for another scheme, a path, a missing port, a port
    outside 1…65535, and a host name that IDNA refuses.
    """
    text = uri.strip()
    if tls_protocol(text) is not None:
        text = without_scheme(text)
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


def _refused(uri: str, fault: str) -> ConfigError:
    return ConfigError(f"Triton address {_quote(uri)} {fault}", remedy=REMEDY)


def _quote(uri: str) -> str:
    """An address for a message, without the credentials that it may contain: also a name alone can be a token."""
    start, at, place = uri.rpartition("@")
    if not at:
        return repr(uri)
    scheme, separator, _ = start.partition("://")
    return repr(f"{scheme}://***@{place}" if separator else f"***@{place}")


@dataclass(frozen=True)
class Endpoints:
    """At least one address, each "host:port", after https:// or grpcs:// with TLS.

    http, grpc  addresses of a known protocol
    either      an address that may be of either protocol, as in NVIDIA_CLARA_TRTISURI; with TLS, of the one it names
    access      certificates and headers for all of them
    Raises ConfigError if there is no address, one is malformed, or there are TLS files for an address without TLS.
    """

    http: str | None = None
    grpc: str | None = None
    either: str | None = None
    access: Access = field(default_factory=Access)

    def __post_init__(self) -> None:
        for name in ("http", "grpc", "either"):
            value = getattr(self, name)
            if value is not None:
                parse_uri(value)
                object.__setattr__(self, name, value.strip())
                self._check_protocol(name, value)
        if not any((self.http, self.grpc, self.either)):
            raise ConfigError("no Triton address given", remedy="set NVIDIA_CLARA_TRTISURI or --triton host:port")

    def _check_protocol(self, name: str, uri: str) -> None:
        protocol = tls_protocol(uri)
        if protocol is None and self.access.has_tls_files:
            raise ConfigError(
                f"Triton address {uri!r} has no TLS, to which --tls-ca, --tls-cert and --tls-key belong",
                remedy="write https://host:port or grpcs://host:port, or leave these options out",
            )
        if protocol is not None and name not in ("either", protocol):
            raise ConfigError(
                f"Triton address {uri!r} is of {protocol}, expected one of {name}",
                remedy="give it as the address of its own protocol",
            )

    def candidates(self, control: str = "auto") -> list[tuple[ControlName, str]]:
        """(protocol, address) pairs, to be tried in this order.

        control  "grpc", "http" or "auto": addresses of a known protocol come first, HTTP before gRPC, whose requests
                 cost more
        Raises ConfigError if no address is of the protocol `control`.
        """
        if control not in ("auto", "grpc", "http"):
            raise ConfigError(f"control {control!r} is unknown", remedy="use auto, grpc or http")
        known: list[tuple[ControlName, str]] = []
        if self.http is not None:
            known.append(("http", self.http))
        if self.grpc is not None:
            known.append(("grpc", self.grpc))
        if self.either is not None:
            protocol = tls_protocol(self.either)
            names: tuple[ControlName, ...] = ("http", "grpc") if protocol is None else (protocol,)
            known += [(name, self.either) for name in names]
        candidates = [pair for pair in dict.fromkeys(known) if control in ("auto", pair[0])]
        if not candidates:
            addresses = ", ".join(f"{protocol} {address}" for protocol, address in known)
            raise ConfigError(
                f"control {control} was asked for, but only {addresses} is given",
                remedy=f"give the server's {control} address, or use --control auto",
            )
        return candidates
