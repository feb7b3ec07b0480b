"""The server of `gpu-infer view`: the page of one study, on 127.0.0.1, for this user.

It knows a fixed list of paths, none of which is a path of the file system, below a random word that other users of the
machine do not know. A request with the name of another host is refused, because a web page can make a name of its own
point at this machine (DNS rebinding).
"""

from __future__ import annotations

import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from gpu_infer.view.study import Study
from gpu_infer.volume.geometry import Geometry
from gpu_infer.writers.page import document
from gpu_infer.writers.page.asset import licence, viewer_file
from gpu_infer.writers.page.nifti import HEADER_BYTES, nifti_header
from gpu_infer.writers.page.reduce import slabs
from gpu_infer.writers.page.write import LabelMap

HOST = "127.0.0.1"
_END_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_FULL = (1, 1, 1)
_VIEWER_DTYPES = ("uint8", "int16", "uint16", "int32", "float32")
"""dtypes that the viewer reads; others are sent as float32."""


class Reply:
    """What a path answers: its type, its length in bytes, and its content, made when it is asked for."""

    def __init__(self, kind: str, nbytes: int, parts: Callable[[], Iterator[bytes | memoryview]]) -> None:
        self.kind, self.nbytes, self.parts = kind, nbytes, parts

    @classmethod
    def of(cls, kind: str, content: bytes) -> Reply:
        return cls(kind, len(content), lambda: iter([content]))


class ViewServer(ThreadingHTTPServer):
    """Serves a study from `HOST` on `port`; 0 chooses a free one. `url` is the address of the page."""

    daemon_threads = True

    def __init__(self, study: Study, port: int) -> None:
        super().__init__((HOST, port), _Handler)
        self.word = secrets.token_urlsafe(16)
        self.replies = make_replies(study)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}/{self.word}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a browser that closes its connection early is no fault."""


def serve_until_signal(server: ViewServer) -> int:
    """Serve until SIGTERM (exit code 0) or SIGINT (130); return the exit code. For the main thread alone."""
    signals: list[int] = []
    previous = {s: signal.signal(s, lambda signum, _frame: signals.append(signum)) for s in _END_SIGNALS}
    thread = threading.Thread(target=server.serve_forever, daemon=True, name="view-server")
    thread.start()
    try:
        while not signals and thread.is_alive():
            time.sleep(0.1)
    finally:
        server.shutdown()
        for signum, handler in previous.items():
            signal.signal(signum, handler)
    return 130 if signal.SIGINT in signals else 0


def make_replies(study: Study) -> dict[str, Reply]:
    """Return the reply of each path below the server's word."""
    case = study.case
    digest = document.digest(case.as_json().encode())
    page = "".join(
        (
            document.begin(case.name, digest, served=True),
            document.begin_element(document.CASE, "application/json"),
            case.as_json(),
            document.END_ELEMENT,
            document.end(digest),
        )
    )
    replies = {
        "": Reply.of("text/html; charset=utf-8", page.encode()),
        document.VIEWER_NAME: Reply.of("text/javascript; charset=utf-8", viewer_file().read_bytes()),
        document.LICENCE_NAME: Reply.of("text/plain; charset=utf-8", licence()),
        document.IMAGE: _image(study),
    }
    for number, part in enumerate(study.maps):
        replies[document.labels_id(number)] = _labels(part, case.geometry)
    return replies


def _image(study: Study) -> Reply:
    volume = study.volume
    stored = volume.data[0]
    dtype = stored.dtype if stored.dtype.name in _VIEWER_DTYPES else np.dtype(np.float32)
    header = nifti_header(volume.geometry, dtype, slope=volume.slope, inter=volume.inter)

    def parts() -> Iterator[bytes | memoryview]:
        yield header
        for slab in slabs(stored, _FULL):
            yield np.ascontiguousarray(slab, dtype).data.cast("B")

    return Reply("application/octet-stream", HEADER_BYTES + stored.size * dtype.itemsize, parts)


def _labels(part: LabelMap, geometry: Geometry) -> Reply:
    table = part.legend.indices(int(part.labels.max(initial=0)))
    header = nifti_header(geometry, table.dtype, labels=True)

    def parts() -> Iterator[bytes | memoryview]:
        yield header
        for slab in slabs(part.labels, _FULL):
            yield np.ascontiguousarray(table[slab]).data.cast("B")

    return Reply("application/octet-stream", HEADER_BYTES + part.labels.size * table.dtype.itemsize, parts)


class _Handler(BaseHTTPRequestHandler):
    server: ViewServer
    server_version, sys_version = "gpu_infer", ""
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(with_content=True)

    def do_HEAD(self) -> None:
        self._answer(with_content=False)

    def _answer(self, *, with_content: bool) -> None:
        port = self.server.port
        if self.headers.get_all("Host", []) not in ([f"{HOST}:{port}"], [f"localhost:{port}"]):
            self.send_error(HTTPStatus.FORBIDDEN, "another host")
            return
        root, word, name = [*self.path.split("/", 2), "", ""][:3]
        is_known = secrets.compare_digest(word.encode(), self.server.word.encode())
        reply = self.server.replies.get(name) if is_known and root == "" and self.path.count("/") > 1 else None
        if reply is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", reply.kind)
        self.send_header("Content-Length", str(reply.nbytes))
        self.end_headers()
        if with_content:
            for part in reply.parts():
                self.wfile.write(part)

    def end_headers(self) -> None:
        for name, value in (
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("X-Frame-Options", "DENY"),
        ):
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing: the path has the word that only this user knows."""
