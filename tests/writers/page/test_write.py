"""The page in the publish folder: its voxels as nibabel reads them, its legend, its policy, and its places."""

from __future__ import annotations

import base64
import gzip
import json
import re
import stat
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from gpu_infer.errors import ConfigError
from gpu_infer.label_table.table import Label, LabelTable
from gpu_infer.system.resources import resource_folder
from gpu_infer.volume.geometry import Geometry
from gpu_infer.volume.volume import Volume
from gpu_infer.writers.page import asset
from gpu_infer.writers.page.case import make_legend, read_labels
from gpu_infer.writers.page.places import page_places
from gpu_infer.writers.page.write import LabelMap, write_page
from gpu_infer.writers.places import check_places

SETTINGS = resource_folder("config") / "config_render.json"
SHAPE = (300, 40, 20)
AFFINE = np.array([[0.0, -1.5, 0.1, 10.25], [0.8, 0.0, 0.0, -7.5], [0.1, 0.0, 3.0, 4.0], [0.0, 0.0, 0.0, 1.0]])
HOSTILE = "</script><script>alert(1)</script><!--{{nonce}} \" ' & é"


@pytest.fixture(autouse=True)
def viewer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for the viewer, which a checkout without npm does not have."""
    path = tmp_path / "installed" / "niivue.umd.js"
    path.parent.mkdir()
    path.write_bytes(asset.VIEWER_MARK + b"var niivue;\n")
    licence = Path(asset.__file__).with_name("niivue.licence.txt")
    path.with_name(licence.name).write_bytes(licence.read_bytes())
    monkeypatch.setattr(asset, "_VIEWER", path)
    return path


def volume(dtype: Any = np.int16, slope: float = 1.0, inter: float = 0.0) -> Volume:
    data = np.random.default_rng(1).integers(-1000, 1000, (1, *SHAPE)).astype(dtype)
    return Volume(data, Geometry(SHAPE, AFFINE), Path("case.nii"), "nifti", slope, inter)


def label_map(voxels: Any, names: dict[int, str] | None = None, name: str = "model") -> LabelMap:
    described = {value: Label(value, text, (value % 256, 2, 3)) for value, text in (names or {}).items()}
    counts = {
        str(value): {"voxels": int(n), "ml": n / 8}
        for value, n in zip(*np.unique(voxels, return_counts=True), strict=True)
    }
    return LabelMap(voxels, make_legend(name, counts, LabelTable(described)))


class Elements(HTMLParser):
    """Script elements by id, with their text; scripts without an id in order; all attributes by tag."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.data: dict[str, str] = {}
        self.scripts: list[dict[str, str | None]] = []
        self.tags: list[str] = []
        self.title = ""
        self._current: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        attributes = dict(attrs)
        self.tags.append(tag)
        self._current = attributes.get("id") if tag == "script" else tag
        if tag == "script" and "id" not in attributes:
            self.scripts.append(attributes)

    def handle_data(self, data: str) -> None:
        if self._current == "title":
            self.title += data
        elif self._current is not None:
            self.data[self._current] = self.data.get(self._current, "") + data

    def handle_endtag(self, tag: str) -> None:
        self._current = None


def written(folder: Path, image: Volume, *maps: LabelMap, name: str = "case") -> Elements:
    folder.mkdir(exist_ok=True)
    page = write_page(image, maps, name, folder, SETTINGS)
    return Elements(page.read_text(encoding="utf-8"))


def nifti(elements: Elements, name: str) -> Any:
    return nib.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(elements.data[name], validate=True)))


def test_the_page_comes_with_the_viewer_and_its_licence(tmp_path: Path, viewer: Path) -> None:
    folder = tmp_path / "p"
    written(folder, volume(), label_map(np.zeros(SHAPE, np.uint8)))
    assert sorted(path.name for path in folder.iterdir()) == ["index.html", "niivue.LICENSE.txt", "niivue.umd.js"]
    assert (folder / "niivue.umd.js").read_bytes() == viewer.read_bytes()
    licence = (folder / "niivue.LICENSE.txt").read_text()
    assert "Copyright (c) 2021, Niivue" in licence
    for package in ("gl-matrix (MIT)", "fflate (MIT)", "nifti-reader-js (MIT)", "structured-clone (ISC)"):
        assert package in licence


def test_voxels_of_a_ct(tmp_path: Path) -> None:
    image = volume()
    elements = written(tmp_path / "p", image, label_map(np.zeros(SHAPE, np.uint8)))
    shown = nifti(elements, "image")
    assert shown.shape == (150, 40, 20)
    assert shown.get_data_dtype() == np.uint8
    means = image.data[0].reshape(150, 2, 40, 20).mean(axis=1)
    np.testing.assert_allclose(shown.get_fdata(), means, rtol=0, atol=(1050 + 1024) / 255 / 2 + 1e-3)
    block_centre = AFFINE @ np.array([[2, 0, 0, 0.5], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    np.testing.assert_allclose(shown.affine, block_centre, rtol=0, atol=1e-6)
    assert shown.header["sform_code"] == 1
    assert shown.header["qform_code"] == 0
    assert shown.header.get_xyzt_units()[0] == "mm"


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_small_volume_is_not_reduced_in_any_order_of_memory(tmp_path: Path, order: Any) -> None:
    data = np.asarray(np.random.default_rng(5).integers(-1000, 1000, (1, 7, 6, 5)).astype(np.int16), order=order)
    labels = np.asarray((data[0] > 0).astype(np.uint8), order=order)
    image = Volume(data, Geometry((7, 6, 5), AFFINE), Path("case.nii"), "nifti")
    elements = written(tmp_path / "p", image, label_map(labels))
    np.testing.assert_allclose(nifti(elements, "image").get_fdata(), data[0], rtol=0, atol=(1050 + 1024) / 255 / 2)
    np.testing.assert_array_equal(np.asarray(nifti(elements, "labels-0").dataobj), labels)
    np.testing.assert_allclose(nifti(elements, "image").affine, AFFINE, rtol=0, atol=1e-6)


def test_voxels_in_physical_units_and_nan(tmp_path: Path) -> None:
    image = volume(np.float32, slope=0.5, inter=10.0)
    image.data[0, :2, 0, 0] = np.nan
    image.data[0, :2, 1, 0] = np.inf
    elements = written(tmp_path / "p", image, label_map(np.zeros(SHAPE, np.uint8)))
    case, shown = json.loads(elements.data["case"]), nifti(elements, "image").get_fdata()
    low, high = case["range"]
    assert shown[0, 0, 0] == pytest.approx(low, abs=1e-3)
    assert shown[0, 1, 0] == pytest.approx(high, abs=1e-3)
    means = (image.data[0].reshape(150, 2, 40, 20) * 0.5 + 10).mean(axis=1).clip(low, high)
    np.testing.assert_allclose(shown[1:], means[1:], rtol=0, atol=(high - low) / 255 / 2 + 1e-3)


@pytest.mark.parametrize(("count", "dtype"), [(1, np.uint8), (255, np.uint8), (256, np.uint16), (700, np.uint16)])
def test_labels_are_numbered_as_they_occur(tmp_path: Path, count: int, dtype: Any) -> None:
    numbers = np.arange(count) * 3 + 2
    voxels = np.zeros(SHAPE, np.int32)
    places = np.random.default_rng(4).permutation(np.prod((150, 40, 20)))[:count]
    i, j, k = np.unravel_index(places, (150, 40, 20))
    voxels[2 * i, j, k] = voxels[2 * i + 1, j, k] = numbers
    elements = written(tmp_path / "p", volume(), label_map(voxels))
    shown = nifti(elements, "labels-0")
    assert shown.get_data_dtype() == dtype
    assert shown.header["intent_code"] == 1002
    expected = np.zeros((150, 40, 20), np.int64)
    expected[i, j, k] = np.arange(1, count + 1)
    np.testing.assert_array_equal(np.asarray(shown.dataobj), expected)
    labels = json.loads(elements.data["case"])["maps"][0]["labels"]
    assert [(label["number"], label["index"]) for label in labels] == [
        (number, index) for index, number in enumerate(numbers, start=1)
    ]
    assert all(label["shown"] == 1 and label["voxels"] == 2 and label["ml"] == 0.25 for label in labels)


def test_a_label_that_vanishes_is_known_to_have_vanished(tmp_path: Path) -> None:
    voxels = np.zeros((512, 8, 8), np.uint8)
    voxels[100:110] = 1
    voxels[301, 3, 3] = 2  # the smaller part of its block, against label 3
    voxels[300, 3, 3] = 3
    image = Volume(voxels[None].astype(np.int16), Geometry((512, 8, 8), np.eye(4)), Path("c.nii"), "nifti")
    elements = written(tmp_path / "p", image, label_map(voxels))
    labels = json.loads(elements.data["case"])["maps"][0]["labels"]
    assert [(label["number"], label["voxels"], label["shown"]) for label in labels] == [
        (1, 640, 320),
        (2, 1, 0),
        (3, 1, 1),
    ]


def test_several_label_maps(tmp_path: Path) -> None:
    first, second = np.zeros(SHAPE, np.uint8), np.ones(SHAPE, np.uint8)
    elements = written(tmp_path / "p", volume(), label_map(first, name="a"), label_map(second, name="b"))
    case = json.loads(elements.data["case"])
    assert [(part["name"], len(part["labels"])) for part in case["maps"]] == [("a", 0), ("b", 1)]
    assert nifti(elements, "labels-0").get_fdata().max() == 0
    assert nifti(elements, "labels-1").get_fdata().min() == 1


def test_names_are_text(tmp_path: Path) -> None:
    voxels = np.ones(SHAPE, np.uint8)
    harmless = written(tmp_path / "a", volume(), label_map(voxels, {1: "x"}, "field"), name="case")
    elements = written(tmp_path / "b", volume(), label_map(voxels, {1: HOSTILE}, HOSTILE), name=HOSTILE)
    assert elements.tags == harmless.tags
    case = json.loads(elements.data["case"])
    assert case["name"] == case["maps"][0]["name"] == case["maps"][0]["labels"][0]["name"] == HOSTILE
    assert elements.title == HOSTILE
    text = (tmp_path / "b" / "index.html").read_text(encoding="utf-8")
    assert "alert(1)</script>" not in text
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text)


def test_the_policy_allows_the_pages_own_scripts_and_no_connection(tmp_path: Path) -> None:
    elements = written(tmp_path / "p", volume(), label_map(np.zeros(SHAPE, np.uint8)))
    text = (tmp_path / "p" / "index.html").read_text(encoding="utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in policy[1].split(";"))
    assert rules["default-src"] == rules["connect-src"] == rules["form-action"] == "'none'"
    nonces = {script.get("nonce") for script in elements.scripts}
    assert len(elements.scripts) == 2
    assert rules["script-src"] == f"'nonce-{nonces.pop()}'"
    assert not nonces
    assert not re.search(r"https?://", text)


def test_the_same_case_gives_the_same_bytes(tmp_path: Path) -> None:
    image, part = volume(), label_map(np.ones(SHAPE, np.uint8), {1: "x"})
    written(tmp_path / "p", image, part)
    first = (tmp_path / "p" / "index.html").read_bytes()
    written(tmp_path / "p", image, part)
    assert (tmp_path / "p" / "index.html").read_bytes() == first


def test_names_can_be_read_back(tmp_path: Path) -> None:
    written(tmp_path / "p", volume(), label_map(np.ones(SHAPE, np.uint8), {1: HOSTILE}))
    label = read_labels(tmp_path / "p" / "index.html", 0)[1]
    assert (label.name, label.colour) == (HOSTILE, (1, 2, 3))
    for text in ("", '<script type="application/json" id="case">[]</script>'):
        (tmp_path / "other.html").write_text(text)
        assert not read_labels(tmp_path / "other.html", 0).described
    assert not read_labels(tmp_path / "none.html", 0).described


@pytest.mark.parametrize("name", ["index.html", "niivue.umd.js", "niivue.LICENSE.txt"])
def test_a_file_of_another_program_stays(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "p"
    folder.mkdir()
    (folder / name).write_text("<!doctype html>\nmine")
    with pytest.raises(ConfigError, match=rf"{name}: found a file of another program, expected none or a page of an"):
        written(folder, volume(), label_map(np.zeros(SHAPE, np.uint8)))
    assert [(path.name, path.read_text()) for path in folder.iterdir()] == [(name, "<!doctype html>\nmine")]


def test_an_older_page_is_recognised(tmp_path: Path) -> None:
    written(tmp_path / "p", volume(), label_map(np.zeros(SHAPE, np.uint8)))
    check_places(page_places(tmp_path / "p"))


def test_the_page_has_the_permissions_of_the_input(tmp_path: Path) -> None:
    source = tmp_path / "case.nii"
    source.write_bytes(b"")
    source.chmod(0o640)
    image = volume()
    image = Volume(image.data, image.geometry, source, "nifti", files=(source,))
    written(tmp_path / "p", image, label_map(np.zeros(SHAPE, np.uint8)))
    assert stat.S_IMODE((tmp_path / "p" / "index.html").stat().st_mode) == 0o640


def test_without_the_viewer_there_is_no_page(tmp_path: Path, viewer: Path) -> None:
    viewer.unlink()
    with pytest.raises(ConfigError, match=r"niivue\.umd\.js: found no viewer for the page, because this package"):
        written(tmp_path / "p", volume(), label_map(np.zeros(SHAPE, np.uint8)))
    assert list((tmp_path / "p").iterdir()) == []
