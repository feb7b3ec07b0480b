"""Addresses: what is taken, what is refused, and in which order they are tried."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_infer.errors import ConfigError
from gpu_infer.triton.client.access import Access
from gpu_infer.triton.client.endpoints import Endpoints, parse_uri


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("localhost:8000", ("localhost", 8000)),
        (" triton.ward-3.example:1 ", ("triton.ward-3.example", 1)),
        ("10.0.0.7:65535", ("10.0.0.7", 65535)),
        ("[::1]:8001", ("::1", 8001)),
        ("[fe80::1%eth0]:8001", ("fe80::1%eth0", 8001)),
        ("https://triton.example:443", ("triton.example", 443)),
        ("grpcs://[::1]:8001", ("::1", 8001)),
    ],
)
def test_parse_uri(uri: str, expected: tuple[str, int]) -> None:
    assert parse_uri(uri) == expected


@pytest.mark.parametrize(
    ("uri", "fault"),
    [
        ("http://localhost:8000", "has a scheme"),
        ("grpc://h:1", "has a scheme"),
        ("https://https://h:1", "has a scheme"),
        ("https://h:1/v2", "more than a host and a port"),
        ("grpcs://h", "has no port"),
        ("localhost", "has no port"),
        ("localhost:", "has no port"),
        ("[::1]", "has no port"),
        (":8000", "has no host"),
        ("::1:8000", "IPv6 address without brackets"),
        ("localhost:0", "has port '0'"),
        ("localhost:65536", "has port '65536'"),
        ("localhost:http", "has port 'http'"),
        ("localhost:٣", "has port '٣'"),
        ("localhost:8000/v2", "more than a host and a port"),
        ("lo cal:80", "more than a host and a port"),
        ("", "has no port"),
    ],
)
def test_refused(uri: str, fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_uri(uri)
    assert fault in caught.value.message
    assert repr(uri) in caught.value.message
    assert "without a scheme" in (caught.value.remedy or "")


@pytest.mark.parametrize("host", ["a..b", ".a", "a" * 64, "a.b" * 100, "\u00fc" * 60, "a\x00b", "a\x7fb"])
def test_host_names_that_no_server_has(host: str) -> None:
    with pytest.raises(ConfigError, match="has a host name that no server can have"):
        parse_uri(f"{host}:80")


@given(st.from_regex(r"[a-z0-9][a-z0-9\-]{0,15}(\.[a-z0-9\-]{1,14})?", fullmatch=True), st.integers(1, 65535))
def test_any_host_and_port_come_back(host: str, port: int) -> None:
    assert parse_uri(f"{host}:{port}") == (host, port)


def test_candidates() -> None:
    both = Endpoints(http="h:8000", grpc="h:8001")
    assert both.candidates() == [("http", "h:8000"), ("grpc", "h:8001")]
    assert both.candidates("http") == [("http", "h:8000")]
    either = Endpoints(either="h:9")
    assert either.candidates() == [("http", "h:9"), ("grpc", "h:9")]
    assert either.candidates("http") == [("http", "h:9")]
    assert Endpoints(grpc="h:9", either="h:9").candidates() == [("grpc", "h:9"), ("http", "h:9")]


def test_no_address_for_the_protocol_asked_for() -> None:
    with pytest.raises(ConfigError, match=r"control grpc was asked for, but only http h:8000 is given"):
        Endpoints(http="h:8000").candidates("grpc")
    with pytest.raises(ConfigError, match="control 'tcp' is unknown"):
        Endpoints(http="h:8000").candidates("tcp")
    with pytest.raises(ConfigError, match="no Triton address given"):
        Endpoints()
    with pytest.raises(ConfigError, match="has a scheme"):
        Endpoints(http="http://h:8000")


@pytest.mark.parametrize("credentials", ["user:secret", "secret", ":secret", "user:a/secret", "user:secret@b"])
def test_credentials_in_an_address_do_not_show(credentials: str) -> None:
    for uri in (f"https://{credentials}@h:1", f"{credentials}@h:1", f"http://{credentials}@h:1/v2"):
        with pytest.raises(ConfigError) as caught:
            parse_uri(uri)
        assert "***@h:1" in caught.value.message
        assert "secret" not in str(caught.value)


def test_tls_says_the_protocol() -> None:
    assert Endpoints(either="https://h:1").candidates() == [("http", "https://h:1")]
    assert Endpoints(either="grpcs://h:1").candidates() == [("grpc", "grpcs://h:1")]
    assert Endpoints(http="https://h:1", grpc="h:2").candidates() == [("http", "https://h:1"), ("grpc", "h:2")]
    with pytest.raises(ConfigError, match="control grpc was asked for, but only http https://h:1 is given"):
        Endpoints(either="https://h:1").candidates("grpc")
    with pytest.raises(ConfigError, match="'grpcs://h:1' is of grpc, expected one of http"):
        Endpoints(http="grpcs://h:1")


def test_certificates_belong_to_tls() -> None:
    access = Access(ca=Path("ca.pem"))
    assert Endpoints(either="https://h:1", access=access).access is access
    with pytest.raises(ConfigError, match="'h:1' has no TLS, to which --tls-ca"):
        Endpoints(either="h:1", access=access)
