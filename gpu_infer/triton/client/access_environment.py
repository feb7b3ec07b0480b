"""`Access` from options and environment variables; an option overrides its variable."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gpu_infer.errors import ConfigError
from gpu_infer.triton.client.access import Access, parse_headers, read_file

ACCESS_OPTIONS = ("tls_ca", "tls_cert", "tls_key", "headers")
"""Names of the options, all of them files, in the order in which `access_from_environment` takes them."""

CA, CERTIFICATE, KEY = "GPU_INFER_TLS_CA", "GPU_INFER_TLS_CERT", "GPU_INFER_TLS_KEY"
HEADERS, HEADERS_FILE = "GPU_INFER_TRITON_HEADERS", "GPU_INFER_TRITON_HEADERS_FILE"


def access_from_environment(
    environ: Mapping[str, str],
    tls_ca: str | Path | None = None,
    tls_cert: str | Path | None = None,
    tls_key: str | Path | None = None,
    headers: str | Path | None = None,
) -> Access:
    """Certificates and headers from the options, else from the variables.

    headers  file with one "Name: value" a line. No option takes a value: other users can see a process's arguments.
    Raises ConfigError that names the option or variable, the file and the line, never a header's value.
    """
    certificate = _path(tls_cert, environ, CERTIFICATE)
    return Access(
        ca=_path(tls_ca, environ, CA),
        certificate=certificate,
        key=_path(tls_key, environ, KEY),
        headers=_headers(headers, environ),
    )


def _path(option: str | Path | None, environ: Mapping[str, str], variable: str) -> Path | None:
    text = str(option) if option is not None else environ.get(variable, "").strip()
    return Path(text) if text else None


def _headers(option: str | Path | None, environ: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    content, path = environ.get(HEADERS, ""), _path(None, environ, HEADERS_FILE)
    if option is not None:
        return _read_headers(Path(option), "--headers")
    if content.strip() and path is not None:
        raise ConfigError(f"{HEADERS} and {HEADERS_FILE} are both set", remedy="keep one of them")
    return _read_headers(path, HEADERS_FILE) if path is not None else parse_headers(content, HEADERS)


def _read_headers(path: Path, source: str) -> tuple[tuple[str, str], ...]:
    content = read_file(path, source)
    try:
        return parse_headers(content.decode("ascii"), f"{source}: {path}")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigError(
            f"{source}: {path}: line {line} has other characters than ASCII", remedy="encode the value, as with Base64"
        ) from None
