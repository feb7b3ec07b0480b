"""C-STORE to an archive in this process: what it gets, and what each of its answers means."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from dicom_source import LUNG, blobs, write, write_study
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, RLELossless
from pynetdicom import AE, evt
from pynetdicom.transport import AssociationSocket

from gpu_infer.send.address import Entity
from gpu_infer.send.store import store
from gpu_infer.volume.formats.dicom.file import quiet

SHAPE = (24, 20, 12)
BINARY_SEG, LABELMAP_SEG = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"
SECONDARY = "1.2.840.10008.5.1.4.1.1.7"


@contextmanager
def archive(statuses: dict[str, int], classes: dict[str, str], title: str = "") -> Iterator[tuple[int, dict[str, Any]]]:
    """An archive with the classes and syntaxes `classes`; `statuses` by class. Yields its port and what it got."""
    received: dict[str, Any] = {}

    def take(event: Any) -> int:
        data = event.dataset
        data.file_meta = event.file_meta
        received[str(data.SOPInstanceUID)] = data
        return statuses.get(str(data.SOPClassUID), 0)

    ae = AE(ae_title=title or "ARCHIVE")
    ae.require_called_aet = bool(title)
    for abstract, syntax in classes.items():
        ae.add_supported_context(abstract, syntax)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, take)])
    try:
        yield server.server_address[1], received
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A SEG, and three secondary captures."""
    root = tmp_path_factory.mktemp("store")
    series = write_study(root / "ct", (24, 20, 3))
    written = write(series, blobs((24, 20, 3), [1]), [LUNG], root / "out", dicom_seg="labelmap", dicom_sc=True)
    return [written["seg"], *sorted(written["sc"].iterdir())]


CLASSES = {LABELMAP_SEG: RLELossless, SECONDARY: ExplicitVRLittleEndian}


def test_the_archive_gets_the_same_elements_and_pixels(files: list[Path]) -> None:
    with archive({}, CLASSES) as (port, received):
        outcome = store(files, Entity("ARCHIVE", "127.0.0.1", port))
    assert (outcome.stored, outcome.warned, outcome.refused) == (files, [], [])
    for file in files:
        sent = dcmread(file)
        assert received[str(sent.SOPInstanceUID)] == sent
        assert received[str(sent.SOPInstanceUID)].PixelData == sent.PixelData


def test_values_that_the_standard_does_not_allow_are_sent_as_they_are(tmp_path: Path) -> None:
    """Without a warning, which would quote them."""
    with quiet():
        series = write_study(tmp_path / "ct", (24, 20, 3), PatientID="x" * 70)
    path = write(series, blobs((24, 20, 3), [1]), [LUNG], tmp_path / "out", dicom_seg="labelmap")["seg"]
    with archive({}, CLASSES) as (port, received):
        outcome = store([path], Entity("ARCHIVE", "127.0.0.1", port))
    assert outcome.stored == [path]
    with quiet():
        assert [data.PatientID for data in received.values()] == ["x" * 70]


def test_every_status_counts(files: list[Path]) -> None:
    with archive({LABELMAP_SEG: 0xB007, SECONDARY: 0xA700}, CLASSES) as (port, _):
        outcome = store(files, Entity("ARCHIVE", "127.0.0.1", port))
    assert outcome.stored == files[:1]
    assert outcome.warned == [(files[0], "status 0xB007")]
    assert outcome.refused == [(file, "status 0xA700") for file in files[1:]]


def test_a_class_that_the_archive_does_not_take(files: list[Path]) -> None:
    with archive({}, {SECONDARY: ExplicitVRLittleEndian}) as (port, received):
        outcome = store(files, Entity("ARCHIVE", "127.0.0.1", port))
    assert outcome.stored == files[1:]
    assert outcome.refused == [(files[0], "the archive does not take this class in this transfer syntax")]
    assert len(received) == 3


def test_another_title_is_rejected(files: list[Path]) -> None:
    with archive({}, CLASSES, title="OTHER") as (port, _):
        outcome = store(files, Entity("ARCHIVE", "127.0.0.1", port))
    assert outcome.stored == []
    assert {reason for _, reason in outcome.refused} == {"the archive rejects the association: check both AE titles"}
    assert [file for file, _ in outcome.refused] == files


def test_a_rejection_that_arrives_before_the_association_looks(
    files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """pynetdicom takes the connection that a rejection has closed for one that was never made."""

    class LateEvent(Event):
        def wait(self, timeout: float | None = None) -> bool:
            is_set = super().wait(timeout)
            time.sleep(0.5)
            return is_set

    init = AssociationSocket.__init__

    def late_init(self: AssociationSocket, *args: Any, **options: Any) -> None:
        init(self, *args, **options)
        if not self._ready.is_set():  # the socket that connects, not the one of the archive
            self._ready = LateEvent()

    with archive({}, CLASSES, title="OTHER") as (port, _):
        monkeypatch.setattr(AssociationSocket, "__init__", late_init)
        outcome = store(files, Entity("ARCHIVE", "127.0.0.1", port))
    assert {reason for _, reason in outcome.refused} == {"the archive rejects the association: check both AE titles"}
    assert [file for file, _ in outcome.refused] == files


def test_no_archive_at_the_address(files: list[Path]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    outcome = store(files, Entity("ARCHIVE", "127.0.0.1", port))
    assert [file for file, _ in outcome.refused] == files
    assert {reason for _, reason in outcome.refused} == {"no connection: Connection refused"}


def test_a_server_that_is_no_archive(files: list[Path]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            for _ in range(2):
                listener.accept()[0].close()

        thread = Thread(target=hang_up)
        thread.start()
        outcome = store(files, Entity("ARCHIVE", "127.0.0.1", listener.getsockname()[1]))
        thread.join()
    assert [file for file, _ in outcome.refused] == files
    assert {reason for _, reason in outcome.refused} == {
        "no association: the server there does not answer as an archive"
    }
