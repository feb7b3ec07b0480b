"""When a run writes a page, and what a failure of it is."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planned_runs import inputs_of, model_of

from gpu_infer.errors import ConfigError
from gpu_infer.planning.run_plan import make_plan
from gpu_infer.report import Report
from gpu_infer.results import page
from gpu_infer.results.label_maps import write_labels
from gpu_infer.results.page import required_page_places, write_page
from gpu_infer.segment import Segmentation
from gpu_infer.system.notices import NOTICE
from gpu_infer.volume.volume import Volume
from gpu_infer.writers.page import asset
from gpu_infer.writers.page.case import read_labels

SHAPE = (6, 5, 4)
FILES = ["index.html", "niivue.LICENSE.txt", "niivue.umd.js"]


@pytest.fixture(autouse=True)
def viewer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "installed" / "niivue.umd.js"
    path.parent.mkdir()
    path.write_bytes(asset.VIEWER_MARK)
    path.with_name("niivue.licence.txt").write_text("licence")
    monkeypatch.setattr(asset, "_VIEWER", path)
    return path


class Case:
    """A run whose label maps are written, with the folder `pub` to publish into."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.publish = folder / "pub"
        self.publish.mkdir()
        (folder / "out").mkdir()
        inputs = inputs_of(folder, SHAPE, options={"output": folder / "out", "publish": self.publish, **options})
        plan = make_plan(inputs, model_of(2, SHAPE))
        labels = np.zeros(SHAPE, np.uint8)
        labels[1, 2, 3] = 1
        self.volume = Volume(np.zeros((1, *SHAPE), np.uint8), inputs.header.geometry, Path("scan.nii"), "nifti")
        self.segmentation = Segmentation({"model": labels}, {"model": [119, 1]}, {}, plan)
        self.settings = inputs.settings
        self.report = Report()
        write_labels(self.segmentation, self.volume, self.report)

    def write(self) -> Path | None:
        return write_page(self.segmentation, self.volume, self.report)

    def files(self) -> list[str]:
        return sorted(path.name for path in self.publish.iterdir())


@pytest.mark.parametrize("page", [None, True])
def test_a_page_is_written_where_something_is_published(tmp_path: Path, page: bool | None) -> None:
    case = Case(tmp_path, page=page)
    assert case.write() == case.publish / "index.html"
    assert case.files() == FILES
    assert case.report.data["page"] == str(case.publish / "index.html")
    assert "page" in case.report.data["stages"]
    assert read_labels(case.publish / "index.html", 0)[1].name == "label 1"
    assert "<title>volume</title>" in (case.publish / "index.html").read_text()
    expected = [case.publish / name for name in FILES]
    assert sorted(place.path for place in required_page_places(case.settings)) == (expected if page else [])


@pytest.mark.parametrize("options", [{"page": False}, {"publish": ""}])
def test_nothing_is_written_if_it_is_excluded_or_nothing_is_published(tmp_path: Path, options: Any) -> None:
    case = Case(tmp_path, **options)
    assert case.write() is None
    assert case.files() == []
    assert "page" not in case.report.data
    assert "page" not in case.report.data["stages"]
    assert required_page_places(case.settings) == []


def test_without_the_viewer_a_terminal_shows_one_line_with_the_remedy(
    tmp_path: Path, viewer: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "_extras", iter([NOTICE]))
    viewer.unlink()
    case = Case(tmp_path)
    with caplog.at_level(logging.INFO):
        assert case.write() is None
        assert case.write() is None
    records = [each for each in caplog.records if each.getMessage().startswith("no page in the publish folder: ")]
    assert [getattr(record, "notice", False) for record in records] == [True, False]
    assert "(install npm and then the package again, or run `make page-asset`" in records[0].getMessage()
    assert case.report.data["warnings"] == []


def test_a_page_that_is_asked_for_needs_the_viewer_and_a_publish_folder(tmp_path: Path, viewer: Path) -> None:
    case = Case(tmp_path, page=True, publish="")
    with pytest.raises(ConfigError, match=r"--page: found no publish folder, into which it goes .add --publish FOLDER"):
        required_page_places(case.settings)
    viewer.unlink()
    (tmp_path / "second").mkdir()
    case = Case(tmp_path / "second", page=True)
    with pytest.raises(ConfigError, match=r"niivue\.umd\.js: found no viewer for the page"):
        required_page_places(case.settings)


def test_a_failure_is_a_warning_unless_the_page_is_asked_for(tmp_path: Path) -> None:
    case = Case(tmp_path)
    (case.publish / "index.html").write_text("mine")
    assert case.write() is None
    (warning,) = case.report.data["warnings"]
    assert warning.startswith(f"page {case.publish / 'index.html'} failed: ")
    assert "found a file of another program" in warning
    assert case.files() == ["index.html"]
    (tmp_path / "second").mkdir()
    case = Case(tmp_path / "second", page=True)
    (case.publish / "index.html").write_text("mine")
    with pytest.raises(ConfigError, match="found a file of another program"):
        case.write()
