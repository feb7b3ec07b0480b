"""pip's settings, read as pip reads them."""

from __future__ import annotations

import ssl
import sys
from pathlib import Path

import pytest

from gpu_infer.demo import package_index
from gpu_infer.demo.package_index import PYPI, PackageIndex


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Path]:
    """pip.conf of the user and of this environment in a folder of the test's own; the machine's do not count."""
    paths = {"user": tmp_path / "user.conf", "site": tmp_path / "site" / "pip.conf"}
    paths["site"].parent.mkdir()
    monkeypatch.setattr(package_index, "_files", lambda env: [paths["user"], paths["site"]])
    return paths


def test_defaults(files: dict[str, Path]) -> None:
    assert PackageIndex.from_pip({}) == PackageIndex((PYPI,), (), (), None, 15.0)


def test_later_files_and_variables_win(files: dict[str, Path]) -> None:
    files["user"].write_text(
        "[global]\nindex-url = https://a/simple\nextra-index-url =\n    https://b/simple\n    https://c/simple\n"
        "timeout = 60\n[download]\ntrusted-host = a b\n[install]\nindex-url = https://never/simple\n"
    )
    index = PackageIndex.from_pip({})
    assert index.index_urls == ("https://a/simple", "https://b/simple", "https://c/simple")
    assert index.trusted_hosts == ("a", "b")
    assert index.timeout_s == 60
    files["site"].write_text("[global]\nindex_url = https://d/simple\ncert = /site.pem\n")
    index = PackageIndex.from_pip({})
    assert index.index_urls[0] == "https://d/simple"
    assert index.cert == Path("/site.pem")
    env = {
        "PIP_INDEX_URL": "https://e/simple",
        "PIP_EXTRA_INDEX_URL": "https://e/simple https://f",
        "PIP_CERT": "/e.pem",
    }
    index = PackageIndex.from_pip(env)
    assert index.index_urls == ("https://e/simple", "https://f")
    assert index.cert == Path("/e.pem")


def test_no_index_and_links(files: dict[str, Path], tmp_path: Path) -> None:
    env = {"PIP_NO_INDEX": "true", "PIP_FIND_LINKS": f"{tmp_path} /missing https://host/links"}
    index = PackageIndex.from_pip(env)
    assert index.index_urls == ()
    assert index.find_links == (str(tmp_path), "https://host/links")
    assert PackageIndex.from_pip({"PIP_NO_INDEX": "0"}).index_urls == (PYPI,)


def test_broken_files_are_passed_over(files: dict[str, Path]) -> None:
    files["user"].write_text("index-url without a section\n")
    files["site"].write_bytes(b"\xff\xfe\x00[")
    assert PackageIndex.from_pip({"PIP_TIMEOUT": "soon"}) == PackageIndex()


def test_which_files(monkeypatch: pytest.MonkeyPatch) -> None:
    assert package_index._files({"PIP_CONFIG_FILE": "/dev/null"}) == []
    files = package_index._files({"PIP_CONFIG_FILE": "/mine.conf"})
    assert files[-1] == Path("/mine.conf")
    assert files[-2] == Path(sys.prefix, "pip.conf")
    assert all(path.is_absolute() for path in files)


def test_without_a_home_the_system_files_remain(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(*_args: object, **_kwargs: object) -> str:
        raise RuntimeError("could not determine the home directory")

    monkeypatch.setattr(package_index.platformdirs, "user_config_dir", nowhere)
    assert package_index._files({}) == [
        Path("/etc/xdg/pip/pip.conf"),
        Path("/etc/pip.conf"),
        Path(sys.prefix, "pip.conf"),
    ]


def test_certificates(files: dict[str, Path], tmp_path: Path) -> None:
    assert PackageIndex.from_pip({"REQUESTS_CA_BUNDLE": "/r.pem", "SSL_CERT_FILE": "/s.pem"}).cert == Path("/r.pem")
    assert PackageIndex.from_pip({"SSL_CERT_FILE": "/s.pem"}).cert == Path("/s.pem")
    assert PackageIndex().ssl_context() is None
    assert PackageIndex(cert=Path("/missing.pem")).ssl_context() is None
    assert isinstance(PackageIndex(cert=tmp_path).ssl_context(), ssl.SSLContext)


def test_secrets_are_not_shown() -> None:
    text = PackageIndex(("https://me:pass@host:8443/simple",), ("/links",)).described()
    assert text == "https://host:8443/simple, /links"
