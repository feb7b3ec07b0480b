"""STOW-RS to a server with canned answers: what it gets, and what each of its answers means."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from dicom_source import LUNG, blobs, write, write_study
from pydicom import dcmread

from gpu_infer.send import stow as module
from gpu_infer.send.address import WebServer
from gpu_infer.send.stow import stow
from gpu_infer.volume.formats.dicom.file import quiet


def _item(uid: str, **codes: int) -> dict[str, Any]:
    tags = {"FailureReason": "00081197", "WarningReason": "00081196"}
    item: dict[str, Any] = {"00081155": {"vr": "UI", "Value": [uid]}}
    return item | {tags[name]: {"vr": "US", "Value": [value]} for name, value in codes.items()}


@contextmanager
def server(answer: Any, status: int = 200) -> Iterator[tuple[WebServer, list[tuple[dict[str, str], bytes]]]]:
    """A server whose answers have the JSON `answer(number of the request)`; yields what it got."""
    received: list[tuple[dict[str, str], bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = b""
            if self.headers.get("Transfer-Encoding") == "chunked":
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
            else:
                body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append((dict(self.headers), body))
            text = json.dumps(answer(len(received))).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/dicom+json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=http.serve_forever)
    thread.start()
    try:
        yield WebServer(f"http://127.0.0.1:{http.server_port}/dicom-web"), received
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("stow")
    series = write_study(root / "ct", (24, 20, 3))
    written = write(series, blobs((24, 20, 3), [1]), [LUNG], root / "out", dicom_seg="binary", dicom_sc=True)
    return [written["seg"], *sorted(written["sc"].iterdir())]


def _uids(files: list[Path]) -> list[str]:
    return [str(dcmread(file).SOPInstanceUID) for file in files]


def test_files_that_the_answer_names_are_stored(files: list[Path]) -> None:
    everything = {"00081199": {"vr": "SQ", "Value": [_item(uid) for uid in _uids(files)]}}
    with server(lambda _: everything) as (address, received):
        outcome = stow(files, address, "Bearer token")
    assert (outcome.stored, outcome.warned, outcome.refused) == (files, [], [])
    ((headers, body),) = received
    assert headers["Authorization"] == "Bearer token"
    assert headers["Content-Type"].startswith('multipart/related; type="application/dicom"')
    for file in files:
        assert dcmread(file).PixelData in body


def test_values_that_the_standard_does_not_allow_are_sent_as_they_are(tmp_path: Path) -> None:
    """Without a warning, which would quote them."""
    with quiet():
        series = write_study(tmp_path / "ct", (24, 20, 3), PatientID="x" * 70)
    path = write(series, blobs((24, 20, 3), [1]), [LUNG], tmp_path / "out", dicom_seg="binary")["seg"]
    everything = {"00081199": {"vr": "SQ", "Value": [_item(uid) for uid in _uids([path])]}}
    with server(lambda _: everything) as (address, received):
        assert stow([path], address, None).stored == [path]
    assert b"x" * 70 in received[0][1]


def test_each_file_has_its_own_result(files: list[Path]) -> None:
    uids = _uids(files)
    answer = {
        "00081199": {"vr": "SQ", "Value": [_item(uids[0]), _item(uids[1], WarningReason=0xB000)]},
        "00081198": {"vr": "SQ", "Value": [_item(uids[2], FailureReason=0xA700)]},
    }
    with server(lambda _: answer, status=202) as (address, _):
        outcome = stow(files, address, None)
    assert outcome.stored == files[:2]
    assert outcome.warned == [(files[1], "reason 0xB000")]
    assert outcome.refused == [(files[2], "reason 0xA700"), (files[3], "the answer does not mention it")]


def test_files_go_in_groups(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GROUP_BYTES", files[1].stat().st_size * 2 + 256)
    everything = {"00081199": {"vr": "SQ", "Value": [_item(uid) for uid in _uids(files)]}}
    with server(lambda _: everything) as (address, received):
        outcome = stow(files[1:], address, None)
    assert outcome.stored == files[1:]
    assert len(received) == 2


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, "HTTP 401: set GPU_INFER_DICOMWEB_AUTHORIZATION to what the server expects"),
        (404, "HTTP 404"),
        (409, "HTTP 409"),
        (503, "HTTP 503"),
    ],
)
def test_an_answer_that_is_an_error(files: list[Path], status: int, reason: str) -> None:
    with server(lambda _: {}, status=status) as (address, received):
        outcome = stow(files, address, "Bearer token")
    assert outcome.stored == []
    assert outcome.refused == [(file, reason) for file in files]
    assert len(received) == 1


def test_no_server_at_the_address(files: list[Path]) -> None:
    with server(lambda _: {}) as (address, _):
        pass
    outcome = stow(files, address, None)
    assert outcome.refused == [(file, "no answer (ConnectionError)") for file in files]
