"""TLS and credentials: over both protocols, and what is said if they do not fit. Values of headers never show."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from canned_http import canned, response
from tls_proxy import Certificates, tls_proxy
from tritonclient.grpc import service_pb2, service_pb2_grpc

from gpu_infer.errors import ConfigError
from gpu_infer.triton.client.access import Access
from gpu_infer.triton.client.endpoints import Endpoints
from gpu_infer.triton.client.failures import AccessDenied
from gpu_infer.triton.client.server import Server

TOKEN = "Bearer s3cr3t-t0k3n"
HEADERS = (("authorization", TOKEN), ("x-tenant", "ward 3"))


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@contextmanager
def grpc_triton(seen: dict[str, str]) -> Iterator[str]:
    """A live server that wants the token; `seen` gets its callers' metadata."""

    class Servicer(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
        def _check(self, context: Any) -> None:
            seen.update(dict(context.invocation_metadata()))
            if seen.get("authorization") != TOKEN:
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you?")

        def ServerLive(self, request: Any, context: Any) -> Any:  # noqa: N802
            self._check(context)
            return service_pb2.ServerLiveResponse(live=True)

        def ServerMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
            self._check(context)
            return service_pb2.ServerMetadataResponse(name="triton", version="2.51.0")

    server = grpc.server(ThreadPoolExecutor(2))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Servicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


@contextmanager
def http_triton(seen: dict[str, str]) -> Iterator[str]:
    def answer(connection: Any, head: bytes) -> None:
        lines = (line.partition(b":") for line in head.split(b"\r\n")[1:])
        seen.update({name.decode().lower(): value.strip().decode() for name, _, value in lines})
        if seen.get("authorization") != TOKEN:
            connection.sendall(response(b'{"error": "who are you?"}', status="401 Unauthorized"))
        else:
            connection.sendall(response(b'{"name": "triton", "version": "2.51.0"}'))

    with canned(answer) as address:
        yield address


TRITONS = {"grpcs": grpc_triton, "https": http_triton}
SCHEMES = pytest.mark.parametrize("scheme", TRITONS)


@SCHEMES
@pytest.mark.parametrize("want_client", [False, True])
def test_certificates_and_headers(certificates: Certificates, scheme: str, want_client: bool) -> None:
    seen: dict[str, str] = {}
    access = Access(
        certificates.ca,
        certificates.certificate if want_client else None,
        certificates.key if want_client else None,
        HEADERS,
    )
    with TRITONS[scheme](seen) as plain, tls_proxy(plain, certificates.context(want_client=want_client)) as address:
        server = Server.connect(Endpoints(either=f"{scheme}://{address}", access=access), wait_s=20)
        client = server.client()
        assert client.server_version() == "2.51.0"
        client.close()
    assert (server.control, server.url) == (scheme.removesuffix("s"), f"{scheme}://{address}")
    assert {key: seen[key] for key, _ in HEADERS} == dict(HEADERS)


@SCHEMES
def test_an_authority_that_is_not_trusted_ends_the_wait(certificates: Certificates, scheme: str) -> None:
    with (
        TRITONS[scheme]({}) as plain,
        tls_proxy(plain, certificates.context(want_client=False)) as address,
        pytest.raises(AccessDenied) as caught,
    ):
        Server.connect(Endpoints(either=f"{scheme}://{address}"), wait_s=600)
    assert "CERTIFICATE_VERIFY_FAILED" in caught.value.message
    assert "--tls-ca" in (caught.value.remedy or "")
    assert caught.value.exit_code == 4


@SCHEMES
def test_a_host_that_is_not_certified(tmp_path: Path, scheme: str) -> None:
    others = Certificates(tmp_path, host="other.example")
    with (
        TRITONS[scheme]({}) as plain,
        tls_proxy(plain, others.context(want_client=False)) as address,
        pytest.raises(AccessDenied, match=r"access denied: .*(?i:hostname)") as caught,
    ):
        Server.connect(Endpoints(either=f"{scheme}://{address}", access=Access(others.ca)), wait_s=600)
    assert "the host as it is certified" in (caught.value.remedy or "")


@SCHEMES
def test_wrong_credentials_end_the_wait_and_do_not_show(
    certificates: Certificates, scheme: str, caplog: pytest.LogCaptureFixture
) -> None:
    access = Access(certificates.ca, headers=(("authorization", "Bearer wr0ng"),))
    assert "wr0ng" not in repr(access)
    with (
        caplog.at_level(logging.DEBUG, "gpu_infer"),
        TRITONS[scheme]({}) as plain,
        tls_proxy(plain, certificates.context(want_client=False)) as address,
        pytest.raises(AccessDenied, match="access denied: who are you") as caught,
    ):
        Server.connect(Endpoints(either=f"{scheme}://{address}", access=access), wait_s=600)
    assert "--headers" in (caught.value.remedy or "")
    assert "wr0ng" not in str(caught.value) + caplog.text


@SCHEMES
def test_headers_without_encryption_are_warned_about(scheme: str, caplog: pytest.LogCaptureFixture) -> None:
    control = scheme.removesuffix("s")
    with TRITONS[scheme]({}) as address:
        Server.connect(Endpoints(either=address, access=Access(headers=HEADERS)), control, wait_s=20)
    assert "headers (authorization, x-tenant) are sent without encryption" in caplog.text
    assert TOKEN not in caplog.text


@SCHEMES
@pytest.mark.parametrize(
    ("files", "fault"),
    [
        ({"ca": "missing.pem"}, "--tls-ca: no file"),
        ({"ca": "no.pem"}, "holds no certificates"),
        ({"certificate": "no.pem"}, "and its key cannot be used"),
        ({"certificate": "client.pem", "key": "missing.key"}, "--tls-key: no file"),
        ({"certificate": "client.pem", "key": "other.key"}, "and its key cannot be used"),
        ({"certificate": "client.pem", "key": "encrypted.key"}, "and its key cannot be used"),
    ],
)
def test_files_that_cannot_be_used(
    certificates: Certificates, tmp_path: Path, scheme: str, files: dict[str, str], fault: str
) -> None:
    from cryptography.hazmat.primitives import serialization

    (tmp_path / "no.pem").write_text("nothing")
    (tmp_path / "client.pem").write_bytes(certificates.certificate.read_bytes())
    (tmp_path / "other.key").write_bytes(Certificates(tmp_path).key.read_bytes())
    (tmp_path / "client.pem").write_bytes(certificates.certificate.read_bytes())
    key = serialization.load_pem_private_key(certificates.key.read_bytes(), None)
    (tmp_path / "encrypted.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"password"),
        )
    )
    access = Access(**{name: tmp_path / file for name, file in files.items()})
    with pytest.raises(ConfigError) as caught:
        Server.connect(Endpoints(either=f"{scheme}://localhost:1", access=access), wait_s=1)
    assert fault in caught.value.message
    assert caught.value.exit_code == 2
