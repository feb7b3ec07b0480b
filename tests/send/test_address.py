"""Addresses of --send."""

from __future__ import annotations

import pytest

from gpu_infer.errors import ConfigError
from gpu_infer.send.address import Entity, WebServer, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("ORTHANC@localhost:4242", Entity("ORTHANC", "localhost", 4242)),
        ("My PACS@10.0.0.7:104", Entity("My PACS", "10.0.0.7", 104)),
        ("AE@[::1]:11112", Entity("AE", "::1", 11112)),
        ("http://localhost:8042/dicom-web/", WebServer("http://localhost:8042/dicom-web")),
        ("https://pacs.example/dicom", WebServer("https://pacs.example/dicom")),
    ],
)
def test_addresses(text: str, address: object) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        *("", "ORTHANC", "localhost:4242", "@localhost:4242", "A@host", "A@host:0", "A@host:65536", "A@:104"),
        *("A" * 17 + "@host:104", "ftp://host/x", "http://", "http://host:99999/x", "https://host/x?y=1"),
    ],
)
def test_other_texts_are_refused_in_one_line(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^--send: found .*expected") as caught:
        parse_address(text)
    assert "\n" not in str(caught.value)


def test_a_password_in_an_address_is_refused_and_not_shown() -> None:
    with pytest.raises(ConfigError, match="GPU_INFER_DICOMWEB_AUTHORIZATION") as caught:
        parse_address("https://me:secret@host/dicom-web")
    assert "secret" not in str(caught.value)
