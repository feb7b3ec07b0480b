"""The package index that pip uses on this machine, from its environment variables and configuration files."""

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
# In pip's order of precedence, the last one counts; [download] is the section of the command that pip would run.
_SECTIONS = ("global", "download")
# PIP_CERT is pip's own; the others are what its HTTP libraries and OpenSSL read.
_CERT_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


@dataclass(frozen=True)
class PackageIndex:
    """pip's settings for the source of a distribution; no `index_urls` corresponds to pip's --no-index."""

    index_urls: tuple[str, ...] = (PYPI,)
    find_links: tuple[str, ...] = ()
    trusted_hosts: tuple[str, ...] = ()
    cert: Path | None = None
    timeout_s: float = 15.0

    @classmethod
    def from_pip(cls, environ: Mapping[str, str] | None = None) -> PackageIndex:
        """Read the settings as pip does: files from the whole system to this environment, then PIP_* variables."""
        env = os.environ if environ is None else environ
        options: dict[str, str] = {}
        for path in _files(env):
            options.update(_read(path))
        options.update({k[4:].lower().replace("_", "-"): v for k, v in env.items() if k.startswith("PIP_") and v})
        urls = (options.get("index-url", PYPI), *options.get("extra-index-url", "").split())
        cert = options.get("cert") or next((env[name] for name in _CERT_VARIABLES if env.get(name)), None)
        return cls(
            index_urls=() if _true(options.get("no-index")) else tuple(dict.fromkeys(urls)),
            # pip ignores folders that do not exist, unearth refuses them.
            find_links=tuple(
                link for link in options.get("find-links", "").split() if "://" in link or Path(link).exists()
            ),
            trusted_hosts=tuple(options.get("trusted-host", "").split()),
            cert=Path(cert) if cert else None,
            timeout_s=_seconds(options.get("timeout") or options.get("default-timeout")),
        )

    def ssl_context(self) -> ssl.SSLContext | None:
        """Context that trusts `cert` (a bundle or a folder), None for the HTTP library's default."""
        if self.cert is None or not self.cert.exists():
            return None
        if self.cert.is_dir():
            return ssl.create_default_context(capath=str(self.cert))
        return ssl.create_default_context(cafile=str(self.cert))

    def described(self) -> str:
        """The URLs, without user names and passwords."""
        return ", ".join(map(_without_secrets, (*self.index_urls, *self.find_links))) or "no index (PIP_NO_INDEX)"


def _files(env: Mapping[str, str]) -> list[Path]:
    override = env.get("PIP_CONFIG_FILE")
    if override == os.devnull:
        return []
    system = [Path("/etc/xdg/pip/pip.conf"), Path("/etc/pip.conf")]
    try:
        user = [Path("~/.pip/pip.conf"), Path(platformdirs.user_config_dir("pip", appauthor=False), "pip.conf")]
    except RuntimeError:  # a uid that has neither HOME nor a passwd entry
        user = []
    files = [*system, *user, Path(sys.prefix, "pip.conf"), *([Path(override)] if override else [])]
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
