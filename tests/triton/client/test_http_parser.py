"""The parser of HTTP answers, compared with geventhttpclient's response and with http.client."""

from __future__ import annotations

import http.client
import io
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from gpu_infer.triton.client.http_parser import RELEASES, AnswerParser, HTTPParseError

PLAIN = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nX-Empty:\r\nx-two: a\r\nX-Two: b\r\n\r\nhello"
)
CHUNKED = b"HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: t\r\n\r\n"
INTERIM = b"HTTP/1.1 100 Continue\r\nX-Interim: 1\r\n\r\n" + PLAIN
CLOSING = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
OLD = b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"


def _parsed(pieces: list[bytes]) -> AnswerParser:
    parser = AnswerParser()
    for piece in pieces:
        parser.feed(piece)
    return parser


class _Socket:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, *_: Any) -> io.BytesIO:
        return io.BytesIO(self._data)


def _standard(data: bytes) -> tuple[int, bytes, bool, str | None]:
    response = http.client.HTTPResponse(_Socket(data), method="POST")  # type: ignore[arg-type]
    response.begin()
    return response.status, response.read(), response.will_close, response.getheader("X-Two")


@pytest.mark.parametrize("data", [PLAIN, CHUNKED, INTERIM, CLOSING, OLD])
@pytest.mark.parametrize("size", [1, 7, 4096])
def test_an_answer_is_read_as_by_the_standard_library_however_it_is_cut(data: bytes, size: int) -> None:
    parser = _parsed([data[start : start + size] for start in range(0, len(data), size)])
    assert parser.has_headers
    assert parser.is_complete
    found = (parser.status, parser.body(), parser.closes_connection(), parser.get("x-TWO"))
    assert found == _standard(data)


def test_headers_of_an_interim_answer_do_not_count() -> None:
    parser = _parsed([INTERIM[: INTERIM.index(b"\r\n\r\n") + 4]])
    assert not parser.has_headers
    assert not parser.is_complete
    parser.feed(PLAIN)
    assert parser.get("X-Interim") is None
    assert parser.content_length == 5
    assert parser.get("X-Empty") == ""


@pytest.mark.parametrize("size", [1, 4096])
def test_fields_behind_the_body_do_not_count(size: int) -> None:
    """Whether they have been received when the headers are read depends on the network."""
    head = b"HTTP/1.1 200 OK\r\nX-Two: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    data = head + b"2\r\nok\r\n0\r\nContent-Encoding: gzip\r\nX-Two: b\r\n\r\n"
    parser = _parsed([data[start : start + size] for start in range(0, len(data), size)])
    assert (parser.body(), parser.get("Content-Encoding"), parser.get("X-Two")) == (b"ok", None, "a")


@pytest.mark.parametrize("size", [1, 7, 4096])
@pytest.mark.parametrize("head", [b"200 \xe9t\xe9\r\nX-Two: a", b"200 OK\r\nX-Bytes: \xff\r\nX-Two: a"])
def test_headers_of_any_bytes_change_neither_other_headers_nor_the_body(head: bytes, size: int) -> None:
    """Releases of geventhttpclient before 2.5 end the process at a header that is not UTF-8."""
    body = bytes(range(256)) + b"\r\n\r\n\xff"
    data = INTERIM[: INTERIM.index(b"HTTP/1.1 200")] + b"HTTP/1.1 " + head
    data += f"\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    parser = _parsed([data[start : start + size] for start in range(0, len(data), size)])
    assert (parser.status, parser.get("X-Two"), parser.body()) == (200, "a", body)


def test_an_answer_without_a_length_ends_with_the_connection() -> None:
    parser = _parsed([b"HTTP/1.1 200 OK\r\n\r\nabc"])
    assert not parser.is_complete
    parser.feed(b"")
    assert parser.is_complete
    assert parser.body() == b"abc"
    assert parser.closes_connection()


@pytest.mark.parametrize(
    "data",
    [
        PLAIN + b"x",
        PLAIN + PLAIN,
        b"\x00\x00\x06\x04",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\xff\xfe\xff\n",
    ],
)
def test_what_is_no_single_answer_is_refused(data: bytes) -> None:
    with pytest.raises(HTTPParseError):
        _parsed([data])


@pytest.mark.parametrize("content", [None, "", "HTTPParseError = ValueError", "import a_library_that_is_not_there"])
def test_a_release_without_the_parser_is_named_with_a_remedy(tmp_path: Path, content: str | None) -> None:
    (tmp_path / "geventhttpclient").mkdir()
    (tmp_path / "geventhttpclient/__init__.py").touch()
    if content is not None:
        (tmp_path / "geventhttpclient/_parser.py").write_text(content)
    (tmp_path / "geventhttpclient-9.0.dist-info").mkdir()
    (tmp_path / "geventhttpclient-9.0.dist-info/METADATA").write_text("Name: geventhttpclient\nVersion: 9.0\n")
    code = (
        "from gpu_infer.errors import ConfigError\nfrom gpu_infer.triton.client.server import make_client\n"
        "try:\n    make_client('http', 'h:8000')\nexcept ConfigError as error:\n    print(error)\n"
        "make_client('grpc', 'h:8001').close()"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        "geventhttpclient: found release 9.0, which cannot parse answers over HTTP, expected "
        "geventhttpclient>=2.0.2,<2.7 (pip install 'geventhttpclient>=2.0.2,<2.7', or use gRPC (--control grpc))\n"
    )


def test_the_package_requires_the_releases_that_have_the_parser() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert RELEASES in project["dependencies"]


def test_the_parser_needs_no_gevent_and_shares_its_errors_with_the_package() -> None:
    code = (
        "import sys\nfrom gpu_infer.triton.client import http_client, http_parser\n"
        "print('gevent' in sys.modules, 'tritonclient.http' in sys.modules)\n"
        "from geventhttpclient.response import HTTPParseError\nprint(HTTPParseError is http_parser.HTTPParseError)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.split() == ["False", "False", "True"]
