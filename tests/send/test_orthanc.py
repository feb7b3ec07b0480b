"""Orthanc, an archive, takes the files by C-STORE and STOW-RS and gives back the same."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from dicom_source import LUNG, PLAIN, blobs, write, write_study
from pydicom import Dataset, dcmread

from gpu_infer.send.address import Address, parse_address
from gpu_infer.send.store import store
from gpu_infer.send.stow import stow

SHAPE = (24, 20, 6)
PLUGINS = Path("/usr/share/orthanc/plugins")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("Orthanc") is None, reason="needs Orthanc (Debian: orthanc)"),
    pytest.mark.skipif(not list(PLUGINS.glob("*OrthancDicomWeb*")), reason="needs Debian's orthanc-dicomweb"),
]


def _free_ports(count: int) -> list[int]:
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int, str]]:
    """An Orthanc on loopback: its HTTP address, its DICOM port, and credentials."""
    folder = tmp_path_factory.mktemp("orthanc")
    http, dicom = _free_ports(2)
    configuration = {
        "Name": "test",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "Plugins": [str(path) for path in PLUGINS.glob("*OrthancDicomWeb*")],
        "HttpPort": http,
        "DicomPort": dicom,
        "DicomAet": "ORTHANC",
        "RemoteAccessAllowed": True,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {"reader": "secret"},
        "DicomAlwaysAllowStore": True,
        "DicomCheckCalledAet": True,
        "UnknownSopClassAccepted": True,  # Debian's Orthanc is older than LABELMAP
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    (folder / "orthanc.json").write_text(json.dumps(configuration))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["Orthanc", str(folder / "orthanc.json")], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                _get(f"http://127.0.0.1:{http}/system")
                break
            except OSError:
                assert process.poll() is None, (folder / "log").read_text(errors="replace")[-2000:]
                assert time.monotonic() < deadline
                time.sleep(0.2)
        yield f"http://127.0.0.1:{http}", dicom, "Basic cmVhZGVyOnNlY3JldA=="  # reader:secret
    finally:
        process.terminate()
        process.wait(30)


def _get(url: str) -> bytes:
    with urlopen(Request(url, headers={"Authorization": "Basic cmVhZGVyOnNlY3JldA=="}), timeout=30) as answer:
        content: bytes = answer.read()
    return content


def _instances(http: str) -> dict[str, Dataset]:
    """The files that the archive has, by SOPInstanceUID."""
    names = json.loads(_get(f"{http}/instances"))
    files = [dcmread(BytesIO(_get(f"{http}/instances/{name}/file"))) for name in names]
    return {str(file.SOPInstanceUID): file for file in files}


@pytest.mark.parametrize("protocol", ["C-STORE", "STOW-RS"])
@pytest.mark.parametrize("kind", ["binary", "labelmap"])
def test_the_archive_gives_back_the_same(
    tmp_path: Path, archive: tuple[str, int, str], protocol: str, kind: str
) -> None:
    http, port, authorization = archive
    series, voxels = write_study(tmp_path / "ct", SHAPE), blobs(SHAPE, [1, 5])
    options: dict[str, Any] = {"dicom_seg": kind, "dicom_sr": True, "dicom_sc": True, "rtstruct": True}
    written = write(series, voxels, [LUNG, PLAIN], tmp_path / "out", **options)
    files = [written["seg"], written["sr"], written["rtstruct"], *sorted(written["sc"].iterdir())]
    address: Address = parse_address(f"ORTHANC@127.0.0.1:{port}" if protocol == "C-STORE" else f"{http}/dicom-web")
    outcome = store(files, address) if protocol == "C-STORE" else stow(files, address, authorization)  # type: ignore[arg-type]
    assert (outcome.refused, outcome.warned, outcome.stored) == ([], [], files)
    theirs = _instances(http)
    for file in files:
        ours = dcmread(file)
        assert theirs[str(ours.SOPInstanceUID)] == ours
        assert theirs[str(ours.SOPInstanceUID)].get("PixelData") == ours.get("PixelData")


def test_stow_without_credentials_is_refused(tmp_path: Path, archive: tuple[str, int, str]) -> None:
    http, _, _ = archive
    series = write_study(tmp_path / "ct", SHAPE)
    files = [write(series, blobs(SHAPE, [1]), [LUNG], tmp_path / "out", dicom_seg="binary")["seg"]]
    outcome = stow(files, parse_address(f"{http}/dicom-web"), None)  # type: ignore[arg-type]
    assert outcome.refused == [(files[0], "HTTP 401: set GPU_INFER_DICOMWEB_AUTHORIZATION to what the server expects")]
    assert str(dcmread(files[0]).SOPInstanceUID) not in _instances(http)


def test_another_title_is_rejected(tmp_path: Path, archive: tuple[str, int, str]) -> None:
    _, port, _ = archive
    series = write_study(tmp_path / "ct", SHAPE)
    files = [write(series, blobs(SHAPE, [1]), [LUNG], tmp_path / "out", dicom_seg="binary")["seg"]]
    outcome = store(files, parse_address(f"OTHER@127.0.0.1:{port}"))  # type: ignore[arg-type]
    assert outcome.refused == [(files[0], "the archive rejects the association: check both AE titles")]
