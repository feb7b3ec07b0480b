"""Where pip would look for packages on this machine: its environment variables and configuration files."""

from __future__ import annotations

import configparser
import os
import ssl
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import platformdirs

PYPI = "https://pypi.org/simple/"
# In pip's order of precedence, last wins; `download` is the command whose section applies beside [global].
_SECTIONS = ("global", "download")
# PIP_CERT is pip's own; the others are what its HTTP libraries and OpenSSL read.
_CERT_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


@dataclass(frozen=True)
class PackageIndex:
    """pip's settings that decide where a distribution comes from; no `index_urls` is pip's --no-index."""

    index_urls: tuple[str, ...] = (PYPI,)
    find_links: tuple[str, ...] = ()
    trusted_hosts: tuple[str, ...] = ()
    cert: Path | None = None
    timeout_s: float = 15.0

    @classmethod
    def from_pip(cls, environ: Mapping[str, str] | None = None) -> PackageIndex:
        """As pip itself would read it: files from the whole system to this environment, then PIP_* variables."""
        env = os.environ if environ is None else environ
        found: dict[str, str] = {}
        for path in _files(env):
            found.update(_read(path))
        found.update({k[4:].lower().replace("_", "-"): v for k, v in env.items() if k.startswith("PIP_") and v})
        urls = (found.get("index-url", PYPI), *found.get("extra-index-url", "").split())
        cert = found.get("cert") or next((env[name] for name in _CERT_VARIABLES if env.get(name)), None)
        return cls(
            index_urls=() if _true(found.get("no-index")) else tuple(dict.fromkeys(urls)),
            # pip ignores folders that do not exist, the library would refuse them.
            find_links=tuple(
                link for link in found.get("find-links", "").split() if "://" in link or Path(link).exists()
            ),
            trusted_hosts=tuple(found.get("trusted-host", "").split()),
            cert=Path(cert) if cert else None,
            timeout_s=_seconds(found.get("timeout") or found.get("default-timeout")),
        )

    def ssl_context(self) -> ssl.SSLContext | None:
        """Context that trusts `cert` (a bundle or a folder), None for the HTTP library's own choice."""
        if self.cert is None or not self.cert.exists():
            return None
        if self.cert.is_dir():
            return ssl.create_default_context(capath=str(self.cert))
        return ssl.create_default_context(cafile=str(self.cert))

    def described(self) -> str:
        """The places, without user names and passwords."""
        return ", ".join(map(_without_secrets, (*self.index_urls, *self.find_links))) or "no index (PIP_NO_INDEX)"


def _files(env: Mapping[str, str]) -> list[Path]:
    chosen = env.get("PIP_CONFIG_FILE")
    if chosen == os.devnull:
        return []
    system = [Path("/etc/xdg/pip/pip.conf"), Path("/etc/pip.conf")]
    try:
        user = [Path("~/.pip/pip.conf"), Path(platformdirs.user_config_dir("pip", appauthor=False), "pip.conf")]
    except RuntimeError:  # a uid that has neither HOME nor a passwd entry
        user = []
    files = [*system, *user, Path(sys.prefix, "pip.conf"), *([Path(chosen)] if chosen else [])]
    return [path if path.is_absolute() else Path(os.path.expanduser(path)) for path in files]  # noqa: PTH111


def _read(path: Path) -> dict[str, str]:
    parser = configparser.RawConfigParser()
    try:
        parser.read(path)
    except (configparser.Error, UnicodeDecodeError, OSError):
        return {}
    return {
        key.replace("_", "-"): value
        for section in _SECTIONS
        if parser.has_section(section)
        for key, value in parser.items(section)
    }


def _true(value: str | None) -> bool:
    return (value or "").strip().lower() in ("1", "true", "yes", "on")


def _seconds(value: str | None) -> float:
    try:
        return max(float(value or 15.0), 1.0)
    except ValueError:
        return 15.0


def _without_secrets(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if parts.netloc else url
