"""The server of `gpu-infer view`: full resolution as nibabel reads it, and nothing for anybody else."""

from __future__ import annotations

import http.client
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from gpu_infer.label_table.table import Label, LabelTable
from gpu_infer.view.server import ViewServer
from gpu_infer.view.study import Study
from gpu_infer.volume.geometry import Geometry
from gpu_infer.volume.volume import Volume
from gpu_infer.writers.page import asset
from gpu_infer.writers.page.case import Case, make_legend
from gpu_infer.writers.page.windows import Window, measure_values
from gpu_infer.writers.page.write import LabelMap

SHAPE = (300, 5, 4)
AFFINE = np.array([[0.0, -1.5, 0.1, 10.25], [0.8, 0.0, 0.0, -7.5], [0.1, 0.0, 3.0, 4.0], [0.0, 0.0, 0.0, 1.0]])
HOSTILE = "</script><img src=x onerror=alert(1)>"


def study_of(dtype: Any, slope: float = 1.0, inter: float = 0.0) -> Study:
    rng = np.random.default_rng(1)
    volume = Volume(
        rng.integers(0, 200, (1, *SHAPE)).astype(dtype), Geometry(SHAPE, AFFINE), Path("c.nii"), "nifti", slope, inter
    )
    labels = rng.choice([0, 3, 9], SHAPE).astype(np.int32)
    counts = {str(n): {"voxels": int((labels == n).sum()), "ml": 1.0} for n in (0, 3, 9)}
    legend = make_legend("model", counts, LabelTable({3: Label(3, HOSTILE, (1, 2, 3))}))
    case = Case("c", volume.geometry, (1, 1, 1), measure_values(volume), [Window("w", 0, 200)], [legend])
    return Study(volume, [LabelMap(labels, legend)], case)


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    viewer = tmp_path / "niivue.umd.js"
    viewer.write_bytes(asset.VIEWER_MARK + b"var niivue;\n")
    (tmp_path / "niivue.licence.txt").write_text("licence")
    monkeypatch.setattr(asset, "_VIEWER", viewer)
    servers: list[tuple[ViewServer, threading.Thread]] = []

    def start(study: Study) -> ViewServer:
        server = ViewServer(study, 0)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        servers.append((server, thread))
        return server

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


def ask(server: ViewServer, path: str, method: str = "GET", host: str | None = None) -> tuple[int, Any, bytes]:
    """Status, headers and content."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.putrequest(method, path, skip_host=True)
    for value in (host if host is not None else f"127.0.0.1:{server.port}").split("|"):
        connection.putheader("Host", value)
    connection.endheaders()
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response.status, response.headers, content


@pytest.mark.parametrize(
    ("dtype", "sent"),
    [
        (np.uint8, np.uint8),
        (np.int16, np.int16),
        (np.uint16, np.uint16),
        (np.float32, np.float32),
        (np.uint32, np.float32),
        (np.int8, np.float32),
        (np.float64, np.float32),
    ],
)
def test_the_volume_is_served_at_full_resolution(serve: Any, dtype: Any, sent: Any) -> None:
    study = study_of(dtype, slope=2.0, inter=-5.0)
    if dtype == np.int8:
        study.volume.data[...] //= 2
    server = serve(study)
    status, headers, content = ask(server, f"/{server.word}/image")
    assert status == 200
    assert int(headers["Content-Length"]) == len(content)
    image = nib.Nifti1Image.from_bytes(content)
    assert image.get_data_dtype() == sent
    np.testing.assert_array_equal(image.get_fdata(), study.volume.data[0].astype(np.float64) * 2 - 5)
    np.testing.assert_allclose(image.affine, AFFINE, rtol=0, atol=1e-6)


def test_labels_are_served_as_they_are_numbered_in_the_legend(serve: Any) -> None:
    study = study_of(np.int16)
    server = serve(study)
    image = nib.Nifti1Image.from_bytes(ask(server, f"/{server.word}/labels-0")[2])
    expected = np.select([study.maps[0].labels == 3, study.maps[0].labels == 9], [1, 2])
    np.testing.assert_array_equal(np.asarray(image.dataobj), expected)
    assert image.header["intent_code"] == 1002


def test_the_page_names_the_case_and_has_no_voxels(serve: Any) -> None:
    server = serve(study_of(np.int16))
    assert server.url == f"http://127.0.0.1:{server.port}/{server.word}/"
    status, headers, content = ask(server, f"/{server.word}/")
    text = content.decode()
    assert status == 200
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert "connect-src 'self'" in text
    assert 'id="image"' not in text
    case = re.search(r'id="case">(.*?)</script>', text)
    assert case is not None
    assert [one["name"] for one in json.loads(case[1])["maps"][0]["labels"]] == [HOSTILE, "label 9"]
    assert "onerror=alert(1)>" not in text.replace(case[0], "")
    assert ask(server, f"/{server.word}/niivue.umd.js")[2] == asset.VIEWER_MARK + b"var niivue;\n"
    assert ask(server, f"/{server.word}/niivue.LICENSE.txt")[2] == asset.LICENCE_MARK + b"licence"


@pytest.mark.parametrize("name", ["", "image", "labels-0", "niivue.umd.js"])
def test_head_has_the_headers_alone(serve: Any, name: str) -> None:
    server = serve(study_of(np.int16))
    status, headers, content = ask(server, f"/{server.word}/{name}", "HEAD")
    assert (status, content) == (200, b"")
    assert int(headers["Content-Length"]) == len(ask(server, f"/{server.word}/{name}")[2])


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/index.html", "/image", "//image", "/wrong/image", "/wrong/", "/{word}", "/{word}/report.json"),
        *("/{word}/../image", "/{word}/../../etc/passwd", "/{word}/%2e%2e/image", "/{word}//etc/passwd"),
        *("/{word}/image?x", "/{word}/labels-1", "/{word}/é", "{word}/image", "/{word}/."),
    ],
)
def test_no_other_path_has_an_answer(serve: Any, path: str) -> None:
    server = serve(study_of(np.int16))
    path = path.replace("{word}", server.word).encode().decode("latin-1")
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection._validate_path = lambda _: None  # type: ignore[attr-defined]
    connection._encode_request = lambda request: request.encode("latin-1")  # type: ignore[attr-defined]
    connection.request("GET", path)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    assert response.status == 404
    assert server.word.encode() not in content


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "", "127.0.0.1:{port}|evil.example"],
)
def test_requests_for_another_host_are_refused(serve: Any, host: str) -> None:
    server = serve(study_of(np.int16))
    status, _, content = ask(server, f"/{server.word}/image", host=host.replace("{port}", str(server.port)))
    assert status == 403
    assert b"n+1" not in content


def test_localhost_is_this_host(serve: Any) -> None:
    server = serve(study_of(np.int16))
    assert ask(server, f"/{server.word}/", host=f"localhost:{server.port}")[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
def test_other_methods_are_refused(serve: Any, method: str) -> None:
    server = serve(study_of(np.int16))
    assert ask(server, f"/{server.word}/image", method)[0] == 501


def test_the_server_listens_on_this_machine_alone_and_its_word_is_new_each_time(serve: Any) -> None:
    first, second = serve(study_of(np.int16)), serve(study_of(np.int16))
    assert first.server_address[0] == "127.0.0.1"
    assert first.word != second.word
    assert len(first.word) >= 20
    assert ask(first, f"/{second.word}/")[0] == 404
