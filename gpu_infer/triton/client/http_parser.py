"""Parser of HTTP answers: llhttp, in C, from geventhttpclient, which tritonclient requires."""

from __future__ import annotations

import http.client
import sys
from importlib.machinery import PathFinder
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec, module_from_spec
from typing import Any

from gpu_infer.errors import ConfigError

RELEASES = "geventhttpclient>=2.0.2,<2.7"
"""Releases that have the parser, as pyproject.toml requires them. It is no public part of them."""


def _load() -> Any:
    """The module `geventhttpclient._parser` alone: its package imports gevent, which takes longer than all requests.

    Raises ConfigError for a release without it.
    """
    name = "geventhttpclient._parser"
    module = sys.modules.get(name)
    if module is None:
        package = find_spec("geventhttpclient")
        spec = None if package is None else PathFinder.find_spec(name, package.submodule_search_locations)
        if spec is None or spec.loader is None:
            raise _no_parser()
        module = module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except ImportError as error:
            raise _no_parser() from error
        # a later import of the package takes this one, so that there is one class of errors
        module = sys.modules.setdefault(name, module)
    if not hasattr(module, "HTTPResponseParser") or not hasattr(module, "HTTPParseError"):
        raise _no_parser()
    return module


def _no_parser() -> ConfigError:
    try:
        found = f"release {version('geventhttpclient')}"
    except PackageNotFoundError:
        found = "no such package"
    return ConfigError(
        f"geventhttpclient: found {found}, which cannot parse answers over HTTP, expected {RELEASES}",
        remedy=f"pip install '{RELEASES}', or use gRPC (--control grpc)",
    )


_llhttp = _load()

HTTPParseError: type[http.client.HTTPException] = _llhttp.HTTPParseError


_ASCII = bytes(range(128)).ljust(256, b"?")
"""What each byte is translated to."""


class HTTPConnectionClosed(HTTPParseError):  # type: ignore[misc,valid-type]
    """The connection ended before the first byte of an answer."""


class AnswerParser(_llhttp.HTTPResponseParser):  # type: ignore[misc,name-defined]
    """Parser of the answer to one request; interim answers (1xx) may precede it, and nothing may follow it.

    llhttp calls the methods `_on_*`, with a name or a value in several pieces if the network delivered it so.
    """

    def __init__(self) -> None:
        super().__init__()
        self.is_complete = False  # the final answer
        self._has_headers = self._has_ended = False  # of the current message
        self._fields: list[list[str]] = []  # name, value
        self._in_value = False
        self._pieces: list[bytes | bytearray] = []

    def feed(self, data: bytes) -> None:
        """Parse the next bytes of the answer; none: the end of the connection. HTTPParseError if they are no HTTP.

        Before geventhttpclient 2.5, text that is not UTF-8 ends the process, so headers are read as ASCII.
        """
        start = 0
        if not data.isascii():
            while start < len(data) and not self.has_headers:  # line by line: what follows the headers is no text
                end = data.find(b"\n", start) + 1 or len(data)
                self._parse(data[start:end].translate(_ASCII))
                start = end
                if self._pieces:
                    raise HTTPParseError("a body that begins within a line of the headers")
        if start < len(data) or not data:
            self._parse(data[start:])

    def _parse(self, data: bytes) -> None:
        try:
            super().feed(data)
        except HTTPParseError as error:
            if len(error.args) > 1:  # llhttp's reason and its number
                raise HTTPParseError(f"the answer is not valid HTTP: {error.args[0]}") from None
            raise

    @property
    def status(self) -> int:
        return int(self.get_code())

    @property
    def has_headers(self) -> bool:
        """Whether the headers of the final answer are complete."""
        return self._has_headers and self.status >= http.client.OK

    @property
    def content_length(self) -> int | None:
        text = self.get("Content-Length")
        return None if text is None else int(text)

    def get(self, name: str) -> str | None:
        """Value of a header field, of several with that name their list; None if there is none."""
        values = [value for field, value in self._fields if field.lower() == name.lower()]
        return ", ".join(values) if values else None

    def body(self) -> bytes:
        return b"".join(self._pieces)

    def closes_connection(self) -> bool:
        """Whether the connection cannot be used after this answer."""
        return not self._has_ended or self.parser_failed() or not self.should_keep_alive()

    def _on_message_begin(self) -> None:
        if self.is_complete:
            raise HTTPParseError("more than one answer to a request")
        self._has_headers = self._has_ended = False
        self._fields.clear()
        self._in_value = True  # the next piece is that of a name, and begins one

    def _on_status(self, text: str) -> None:
        """Ignore the words after the status."""

    def _on_header_field(self, piece: str) -> None:
        if self._has_headers:
            return  # a trailer, behind a chunked body
        if self._in_value or not self._fields:
            self._fields.append([piece, ""])
        else:
            self._fields[-1][0] += piece
        self._in_value = False

    def _on_header_value(self, piece: str) -> None:
        if self._has_headers:
            return
        self._fields[-1][1] += piece
        self._in_value = True

    def _on_headers_complete(self) -> bool:
        self._has_headers = True
        return False  # a body may follow, as to every method but HEAD

    def _on_body(self, piece: bytes | bytearray) -> None:
        self._pieces.append(piece)

    def _on_message_complete(self) -> None:
        self._has_ended = True
        self.is_complete = self.status >= http.client.OK
