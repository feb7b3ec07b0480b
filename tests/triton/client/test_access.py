"""Headers and certificates from options and the environment; what is refused, and that no value shows."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gpu_infer.errors import ConfigError
from gpu_infer.settings import Settings
from gpu_infer.triton.client.access import Access, parse_headers
from gpu_infer.triton.client.access_environment import access_from_environment

SECRET = "s3cr3t"


def test_headers_are_lines() -> None:
    content = f"# token of the ward\n\nAuthorization:  Bearer {SECRET}: x \r\nX-Tenant:3\n"
    assert parse_headers(content, "f") == (("authorization", f"Bearer {SECRET}: x"), ("x-tenant", "3"))
    assert parse_headers("", "f") == ()


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (SECRET, "is no header"),
        (f": {SECRET}", "is no header"),
        (f"a b: {SECRET}", "is no header"),
        (f"x-data-bin: {SECRET}", "is no header"),
        (f"Host: {SECRET}", "header host belongs to the protocol"),
        (f"grpc-timeout: {SECRET}", "header grpc-timeout belongs to the protocol"),
        (f"Accept-Encoding: {SECRET}", "belongs to the protocol"),
        ("x:", "the value of x is empty"),
        (f"x: {SECRET}\x01", "is empty or not printable ASCII"),
        (f"x: ä{SECRET}", "is empty or not printable ASCII"),
        (f"ok: 2\nOK: {SECRET}", "header ok stands there twice"),
    ],
)
def test_other_lines_are_refused_without_their_value(line: str, fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_headers(f"first: 1\n{line}", "--headers: f")
    assert fault in caught.value.message
    assert caught.value.message.startswith(f"--headers: f: line {2 + line.count(chr(10))}")
    assert SECRET not in str(caught.value)


def test_an_option_wins_over_its_variable(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("x: 1")
    second.write_text("x: 2")
    environ = {
        "GPU_INFER_TLS_CA": "ca.pem",
        "GPU_INFER_TLS_CERT": "cert.pem",
        "GPU_INFER_TLS_KEY": " ",
        "GPU_INFER_TRITON_HEADERS_FILE": str(first),
    }
    assert access_from_environment(environ) == Access(Path("ca.pem"), Path("cert.pem"), None, (("x", "1"),))
    assert access_from_environment(environ, tls_ca="o.pem", headers=second) == Access(
        Path("o.pem"), Path("cert.pem"), None, (("x", "2"),)
    )
    assert access_from_environment({"GPU_INFER_TRITON_HEADERS": "x: 3\ny: 4"}).headers == (("x", "3"), ("y", "4"))


def test_what_contradicts_is_refused(tmp_path: Path) -> None:
    both = {"GPU_INFER_TRITON_HEADERS": "x: 3", "GPU_INFER_TRITON_HEADERS_FILE": "f"}
    with pytest.raises(ConfigError, match="GPU_INFER_TRITON_HEADERS and GPU_INFER_TRITON_HEADERS_FILE are both set"):
        access_from_environment(both)
    with pytest.raises(ConfigError, match="--tls-key has no certificate"):
        access_from_environment({"GPU_INFER_TLS_KEY": "k.pem"})
    with pytest.raises(ConfigError, match="--tls-ca contradicts --triton local"):
        Settings.from_environment({}, config="c.json", triton="local", models=tmp_path, tls_ca="ca.pem")


def test_files_of_headers_that_cannot_be_read(tmp_path: Path) -> None:
    fifo, large, odd = tmp_path / "fifo", tmp_path / "large", tmp_path / "odd"
    os.mkfifo(fifo)
    large.write_bytes(b"#" * (2 << 20))
    odd.write_bytes(b"a: 1\nb: \xff" + SECRET.encode())
    for path, fault in (
        (tmp_path / "missing", "no file"),
        (tmp_path, "no file"),
        (fifo, "no file"),
        (Path("a" * 300), "cannot be read: File name too long|no file"),
        (large, "more than 1 MiB"),
        (odd, "line 2 has other characters than ASCII"),
    ):
        with pytest.raises(ConfigError, match=fault) as caught:
            access_from_environment({}, headers=path)
        assert caught.value.message.startswith("--headers: ")
        assert SECRET not in str(caught.value)


def test_settings_carry_access_and_loading_without_showing_values() -> None:
    environ = {"GPU_INFER_TRITON_HEADERS": f"authorization: {SECRET}"}
    settings = Settings.from_environment(environ, config="c.json", triton="grpcs://h:1", load_model=True)
    assert settings.access.headers == (("authorization", SECRET),)
    assert settings.triton_either == "grpcs://h:1"
    assert settings.load_model
    assert SECRET not in repr(settings)
