"""The page in headless Chromium: from a file and from the server of `gpu-infer view`.

Needs chromium, node and npm, which installs playwright-core into the cache folder once; skips without them.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from gpu_infer.errors import GpuInferError
from gpu_infer.label_table.table import Label, LabelTable
from gpu_infer.report import label_volumes
from gpu_infer.system.cache import cache_folder
from gpu_infer.system.resources import resource_folder
from gpu_infer.view.server import ViewServer
from gpu_infer.view.study import Study
from gpu_infer.volume.geometry import Geometry
from gpu_infer.volume.volume import Volume
from gpu_infer.writers.page.asset import has_viewer
from gpu_infer.writers.page.case import Case, make_legend
from gpu_infer.writers.page.windows import measure_values, offered_windows
from gpu_infer.writers.page.write import LabelMap, write_page

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]

PLAYWRIGHT = "playwright-core@1.65.1"
SETTINGS = resource_folder("config") / "config_render.json"
SHAPE = (40, 36, 32)
AFFINE = np.diag([-2.0, -2.0, 2.5, 1.0])
AFFINE[:3, 3] = [39.0, 35.0, -38.75]
HOSTILE = '<img src=x onerror="document.title=1">'
MOST_LABELS = 300


@pytest.fixture(scope="session")
def browser() -> tuple[str, str, str]:
    """node, playwright-core's folder, and chromium."""
    node, npm = shutil.which("node"), shutil.which("npm")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not (node and npm and chromium):
        pytest.skip("the page's own tests need node, npm and chromium")
    if not has_viewer():
        pytest.skip("the viewer is not installed: make page-asset")
    try:
        folder = cache_folder() / PLAYWRIGHT
    except GpuInferError as error:
        pytest.skip(str(error))
    package = folder / "node_modules" / "playwright-core"
    if not (package / "package.json").is_file():
        command = [npm, "install", "--prefix", str(folder), "--ignore-scripts", "--no-save", PLAYWRIGHT]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=300, check=False)
        if done.returncode:
            pytest.skip(f"npm cannot install {PLAYWRIGHT}: {done.stderr.splitlines()[:1]}")
    return node, str(package), chromium


@pytest.fixture
def visit(browser: tuple[str, str, str], tmp_path: Path) -> Any:
    """Open a URL, take steps, and return what was seen; pictures are read with `picture`."""
    node, package, chromium = browser
    script = str(Path(__file__).with_name("browser.js"))

    def open_page(url: str, *steps: list[Any]) -> dict[str, Any]:
        command = [node, script, package, chromium, url, str(tmp_path), json.dumps(steps)]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=500, check=False)
        assert done.returncode == 0, done.stderr
        seen: dict[str, Any] = json.loads(done.stdout)
        return seen

    return open_page


def picture(tmp_path: Path, name: str) -> Any:
    """The canvas [rows, columns, 3]."""
    return sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / f"{name}.png")))[..., :3].astype(np.int32)


def quadrants(pixels: Any) -> list[Any]:
    rows, columns = pixels.shape[0] // 2, pixels.shape[1] // 2
    return [pixels[:rows, :columns], pixels[:rows, columns:], pixels[rows:, :columns], pixels[rows:, columns:]]


def study_of(names: dict[int, str]) -> tuple[Volume, LabelMap, dict[str, Any]]:
    """A sphere of soft tissue in air, with two labels inside and as many more as there are names, one voxel each."""
    distance = np.linalg.norm(np.indices(SHAPE).T - (np.array(SHAPE) - 1) / 2, axis=-1).T
    image = np.where(distance < 15, 60, -1000).astype(np.int16)
    image[distance < 5] = 400
    labels = np.zeros(SHAPE, np.uint16)
    labels[distance < 9] = 1
    labels[:8, :, :] = np.where(distance[:8] < 15, 2, 0)  # small i: the patient's right with this affine
    for value in names.keys() - {1, 2}:
        labels.reshape(-1)[value] = value
    table = LabelTable({n: Label(n, name, (255, 40, 40) if n == 1 else (40, 40, 255)) for n, name in names.items()})
    section = label_volumes(np.bincount(labels.reshape(-1)).tolist(), 0.01, table)
    volume = Volume(image[None], Geometry(SHAPE, AFFINE), Path("case.nii"), "nifti")
    return volume, LabelMap(labels, make_legend("model", section, table)), section


@pytest.fixture
def case(tmp_path: Path) -> tuple[str, dict[str, Any]]:
    """The page's address, and the report's section of its labels."""
    volume, part, section = study_of({1: "heart", 2: HOSTILE})
    page = write_page(volume, [part], "case & co", tmp_path, SETTINGS)
    return page.as_uri(), section


def test_the_page_draws_four_views_and_its_legend(visit: Any, case: Any, tmp_path: Path) -> None:
    url, section = case
    seen = visit(
        url,
        ["shot", "with"],
        ["key", "m"],
        ["shot", "without"],
        ["text", "names", "#legend .name"],
        ["text", "ml", "#legend tbody .number"],
        ["text", "title", "h1"],
        ["value", "page", "document.title"],
    )
    assert seen["state"] == "ready"
    assert seen["errors"] == []
    assert seen["requests"] == [url, url.replace("index.html", "niivue.umd.js")]
    before, after = picture(tmp_path, "with"), picture(tmp_path, "without")
    for shown, plain in zip(quadrants(before), quadrants(after), strict=True):
        assert plain.max(axis=2).std() > 20, "nothing is drawn"
        assert (np.abs(shown - plain).max(axis=2) > 20).mean() > 0.005, "the mask makes no difference"
    assert (np.ptp(after, axis=2) > 60).mean() < (np.ptp(before, axis=2) > 60).mean(), "the mask has colours"
    assert seen["texts"]["names"] == ["heart", HOSTILE]
    assert seen["texts"]["ml"] == [f"{section[str(number)]['ml']:.3f}" for number in (1, 2)]
    assert seen["texts"]["title"] == ["case & co"]
    assert seen["texts"]["page"] == "case & co"


def test_the_place_below_the_cursor_is_radiological(visit: Any, case: Any) -> None:
    steps: list[list[Any]] = [["key", "2"]]
    for name, x in (("left", 0.45), ("middle", 0.5), ("right", 0.55)):
        steps += [["move", x, 0.5], ["text", f"place {name}", "#place"], ["text", f"label {name}", "#label"]]
    steps += [["move", 0.5, 0.15], ["text", "place top", "#place"], ["text", "slices", "#slices"]]
    texts = visit(case[0], *steps)["texts"]
    assert texts["place left"][0].startswith("R ")
    assert texts["place right"][0].startswith("L ")
    assert " A " in texts["place top"][0]
    assert texts["label middle"] == ["heart"]
    assert texts["slices"][0].endswith(" mm")


def test_a_name_leads_to_its_label_and_its_box_hides_it(visit: Any, case: Any, tmp_path: Path) -> None:
    seen = visit(
        case[0],
        ["click", "#legend tr:nth-child(2) .name"],
        ["text", "label", "#label"],
        ["key", "2"],
        ["move", 0.01, 0.01],
        ["shot", "with"],
        ["click", "#legend tbody tr:nth-child(2) input"],
        ["shot", "without"],
    )
    assert seen["texts"]["label"] == [HOSTILE]
    changed = np.abs(picture(tmp_path, "with") - picture(tmp_path, "without")).max(axis=2) > 20
    assert 0.001 < changed.mean() < 0.5
    assert seen["errors"] == []


def test_many_labels_paint_no_background(visit: Any, tmp_path: Path) -> None:
    names = {number: f"label {number}" for number in range(1, MOST_LABELS + 1)}
    volume, part, _ = study_of(names)
    url = write_page(volume, [part], "many", tmp_path, SETTINGS).as_uri()
    seen = visit(url, ["key", "2"], ["shot", "axial"], ["text", "names", "#legend .name"])
    assert seen["errors"] == []
    assert seen["texts"]["names"] == list(names.values())
    pixels = picture(tmp_path, "axial")
    rows, columns = pixels.shape[0] // 2, pixels.shape[1] // 2
    centre = pixels[rows + 12, columns + 12]
    assert centre[0] > centre[1] + 30, "label 1 is red"
    assert pixels[rows - 40, 3].max() < 10, "air is black"


def test_the_server_shows_the_same(visit: Any, tmp_path: Path) -> None:
    volume, part, section = study_of({1: "heart", 2: "liver"})
    values = measure_values(volume)
    windows = offered_windows(values, SETTINGS, 0.0)
    server = ViewServer(Study(volume, [part], Case("c", volume.geometry, (1, 1, 1), values, windows, [part.legend])), 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        seen = visit(
            server.url,
            ["shot", "served"],
            ["text", "ml", "#legend tbody .number"],
            ["text", "windows", "#window option"],
        )
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert seen["state"] == "ready"
    assert seen["errors"] == []
    names = ["", "niivue.umd.js", "image", "labels-0"]
    assert seen["requests"] == [server.url + name for name in names]
    assert all(quadrant.max(axis=2).std() > 20 for quadrant in quadrants(picture(tmp_path, "served")))
    assert seen["texts"]["ml"] == [f"{section[str(number)]['ml']:.3f}" for number in (1, 2)]
    assert seen["texts"]["windows"][0] == "overview (−1000 … 400 HU)"


@pytest.fixture(autouse=True)
def _no_pictures_remain(tmp_path: Path) -> Iterator[None]:
    yield
    for path in tmp_path.glob("*.png"):
        path.unlink()
