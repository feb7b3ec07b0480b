"""TLS certificates and request headers of connections to a server."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gpu_infer.errors import ConfigError

FILE_LIMIT = 1 << 20  # bytes of a file with headers, certificates or a key
SHORTEST_SECRET = 6  # characters; shorter values are words
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_RESERVED = frozenset(
    (
        *("accept-encoding", "connection", "content-encoding", "content-length", "content-type", "expect", "host"),
        *(
            "inference-header-content-length",
            "keep-alive",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
            "user-agent",
        ),
    )
)


@dataclass(frozen=True)
class Access:
    """Certificates and headers for connections to a server.

    ca           PEM file of the authorities that may sign the server's certificate; None: those of the system
    certificate  PEM file of the client's certificate, with its chain
    key          PEM file of its private key, not encrypted; None: `certificate` contains it
    headers      (name, value) pairs sent with every request; names in lower case. No message contains a value.

    Raises ConfigError for a key without a certificate.
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        if self.key is not None and self.certificate is None:
            raise ConfigError("--tls-key has no certificate", remedy="give the client's certificate with --tls-cert")

    @property
    def has_tls_files(self) -> bool:
        return self.ca is not None or self.certificate is not None

    @property
    def header_names(self) -> str:
        return ", ".join(name for name, _ in self.headers)

    def hide_values(self, text: str) -> str:
        """A server's text without the values of headers: some quote the credentials that they refuse.

        Each word of a value is hidden, and its beginning in a text that is cut, if it is as long as a secret.
        """
        words = {word for _, value in self.headers for word in value.split()}
        for word in sorted(words, key=len, reverse=True):
            for end in range(len(word), SHORTEST_SECRET - 1, -1):
                text = text.replace(word[:end], "***")
        return text

    def pem(self) -> tuple[bytes | None, bytes | None, bytes | None]:
        """(authorities, key, certificate) for gRPC, after the checks of `context`."""
        self.context()
        ca = self.ca or _system_authorities()
        certificate = read_file(self.certificate, "--tls-cert") if self.certificate is not None else None
        key = read_file(self.key, "--tls-key") if self.key is not None else certificate
        return (read_file(ca, "--tls-ca") if ca is not None else None), key, certificate

    def context(self, create: Callable[..., ssl.SSLContext] = ssl.create_default_context) -> ssl.SSLContext:
        """A client's TLS context from `create(cafile=…)`; ConfigError that names a file that cannot be used."""
        if self.ca is not None:
            read_file(self.ca, "--tls-ca")
        try:
            context = create(cafile=self.ca)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"--tls-ca: {self.ca} holds no certificates: {_reason(error)}",
                remedy="give the PEM file of the authority that signed the server's certificate",
            ) from None
        self._load_client(context)
        return context

    def _load_client(self, context: ssl.SSLContext) -> None:
        if self.certificate is None:
            return
        read_file(self.certificate, "--tls-cert")
        if self.key is not None:
            read_file(self.key, "--tls-key")
        try:
            # Without the argument `password`, OpenSSL would ask for one on the terminal.
            context.load_cert_chain(self.certificate, self.key, password=b"")
        except (OSError, ssl.SSLError, ValueError) as error:
            raise ConfigError(
                f"--tls-cert: {self.certificate} and its key cannot be used: {_reason(error)}",
                remedy="give the client's certificate and its own key as PEM files, the key without a password",
            ) from None


def read_file(path: Path, source: str) -> bytes:
    """The content of a regular file of at most 1 MiB; ConfigError that names `source`, the option or variable."""
    try:
        if not path.is_file():
            raise ConfigError(f"{source}: no file {path}", remedy="give the path of a file that can be read")
        with path.open("rb") as stream:
            content = stream.read(FILE_LIMIT + 1)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{source}: {str(path)!a} cannot be read: {_reason(error)}",
            remedy="give the path of a file that can be read",
        ) from None
    if len(content) > FILE_LIMIT:
        raise ConfigError(f"{source}: {path} has more than 1 MiB", remedy="give the right file")
    return content


def parse_headers(content: str, source: str) -> tuple[tuple[str, str], ...]:
    """(name, value) of each line "Name: value"; blank lines and lines that begin with # are ignored.

    Raises ConfigError that names `source` and the line's number, never the value.
    """
    headers: dict[str, str] = {}
    for number, name, value in _header_lines(content):
        place = f"{source}: line {number}"
        if value is None or not _NAME.fullmatch(name) or name.endswith("-bin"):
            raise ConfigError(f"{place} is no header", remedy='write one "Name: value" a line')
        if name in _RESERVED or name.startswith("grpc-"):
            raise ConfigError(f"{place}: header {name} belongs to the protocol", remedy="leave it out")
        if not _VALUE.fullmatch(value):
            raise ConfigError(
                f"{place}: the value of {name} is empty or not printable ASCII", remedy="encode it, as with Base64"
            )
        if name in headers:
            raise ConfigError(f"{place}: header {name} stands there twice", remedy="keep one of them")
        headers[name] = value
    return tuple(headers.items())


def _header_lines(content: str) -> Iterator[tuple[int, str, str | None]]:
    for number, line in enumerate(content.split("\n"), 1):
        text = line.strip()
        if text and not text.startswith("#"):
            name, colon, value = text.partition(":")
            yield number, name.strip().lower(), value.strip() if colon else None


def _system_authorities() -> Path | None:
    """The authorities that Python's TLS trusts, so that gRPC trusts the same; None: gRPC uses its own."""
    path = ssl.get_default_verify_paths().cafile
    return Path(path) if path is not None else None


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or "not PEM, or key and certificate do not belong together"
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else type(error).__name__
