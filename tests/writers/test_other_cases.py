"""config.meta, config_render.json and the page of another case get names of their own, and lose nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpu_infer.errors import ConfigError, InputError, ResourceError
from gpu_infer.label_table.table import LabelTable
from gpu_infer.system.resources import resource_folder
from gpu_infer.volume.geometry import Geometry
from gpu_infer.volume.volume import Volume
from gpu_infer.writers import publish as publishing
from gpu_infer.writers.metaimage import write_metaimage
from gpu_infer.writers.names import name_of_case
from gpu_infer.writers.other_cases import rename_file
from gpu_infer.writers.page import asset
from gpu_infer.writers.page.case import make_legend
from gpu_infer.writers.page.places import case_of_page
from gpu_infer.writers.page.write import LabelMap, write_page
from gpu_infer.writers.publish import publish

SETTINGS = resource_folder("config") / "config_render.json"
SHAPE = (5, 4, 3)
GEOMETRY = Geometry(SHAPE, np.diag([-1.0, -1.0, 2.0, 1.0]))
Publish = Callable[..., None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "publish"


@pytest.fixture
def publish_case(tmp_path: Path, folder: Path) -> Publish:
    def run(name: str, value: int = 0, render: Path | str = SETTINGS, **options: Any) -> None:
        output = tmp_path / "output"
        output.mkdir(exist_ok=True)
        mask, _ = write_metaimage(np.full(SHAPE, value, np.uint8), GEOMETRY, output, name)
        publish(volume(tmp_path, name, value), mask, "model", folder, render, **options)

    return run


def volume(root: Path, name: str, value: int = 0) -> Volume:
    return Volume(np.full((1, *SHAPE), value, np.int16), GEOMETRY, root / f"{name}.nrrd", "nrrd")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix not in (".mhd", ".raw"))


def render(number: int) -> str:
    """Render settings that differ in layout."""
    return SETTINGS.read_text() + "\n" * number


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("dialect", ["v1", "v2", "both"])
def test_another_case_gets_names_of_its_own(
    folder: Path, publish_case: Publish, dialect: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    publish_case("a", render=render(1), dialect=dialect)
    before = read(folder / "config.meta")
    publish_case("b", render=render(2))
    assert names(folder) == ["a.config.meta", "a.config_render.json", "config.meta", "config_render.json"]
    assert read(folder / "a.config.meta") == before | {"settings": "a.config_render.json"}
    assert (folder / "a.config_render.json").read_text() == render(1)
    assert read(folder / "config.meta")["density"] == "b.mhd"
    assert (folder / "config_render.json").read_text() == render(2)
    (line,) = [record.getMessage() for record in caplog.records if "of case" in record.getMessage()]
    assert line == f"{folder}/config.meta: that of case a is now a.config.meta"


def test_each_case_has_one_config_meta(folder: Path, publish_case: Publish) -> None:
    for number, name in enumerate("abcabb"):
        publish_case(name, render=render(number))
    own = [f"{case}.{name}" for case in "ac" for name in ("config.meta", "config_render.json")]
    assert names(folder) == [*own, "config.meta", "config_render.json"]
    for case, number in {"a.": 3, "c.": 2, "": 5}.items():
        assert (folder / f"{case}config_render.json").read_text() == render(number)
        assert read(folder / f"{case}config.meta")["settings"] == f"{case}config_render.json"


def test_files_of_others_are_not_replaced(folder: Path, publish_case: Publish) -> None:
    publish_case("a")
    (folder / "a.config.meta").write_text("mine")
    (folder / "a.config_render.json").write_text("mine, too")
    (folder / "a-2.config.meta").symlink_to("config.meta")
    publish_case("b")
    assert (folder / "a.config.meta").read_text() == "mine"
    assert (folder / "a.config_render.json").read_text() == "mine, too"
    assert (folder / "a-2.config.meta").is_symlink()
    assert read(folder / "a-3.config.meta")["density"] == "a.mhd"
    assert read(folder / "a-3.config.meta")["settings"] == "a-2.config_render.json"


def test_valid_settings_of_a_user_are_not_replaced(folder: Path, publish_case: Publish) -> None:
    publish_case("a")
    (folder / "a.config_render.json").write_text(render(3))
    publish_case("b", render=render(1))
    assert (folder / "a.config_render.json").read_text() == render(3)
    assert read(folder / "a.config.meta")["settings"] == "a-2.config_render.json"
    publish_case("a")
    assert (folder / "a.config_render.json").read_text() == render(3)
    assert names(folder)[0] == "a.config_render.json"
    assert not (folder / "a-2.config_render.json").exists()


def test_settings_of_another_name_stay(folder: Path, publish_case: Publish) -> None:
    publish_case("a")
    meta = read(folder / "config.meta") | {"settings": "notes.txt"}  # edited by hand
    (folder / "config.meta").write_text(json.dumps(meta))
    (folder / "notes.txt").write_text("mine")
    publish_case("b")
    assert read(folder / "a.config.meta") == meta
    publish_case("a")
    assert names(folder) == ["b.config.meta", "b.config_render.json", "config.meta", "config_render.json", "notes.txt"]


def test_a_failure_moves_nothing(folder: Path, publish_case: Publish, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_case("a", render=render(1))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with monkeypatch.context() as patch:
        patch.setattr(publishing, "copy_mask", lambda *_: (_ for _ in ()).throw(InputError("gone")))
        with pytest.raises(InputError, match="gone"):
            publish_case("b")
    (folder / "b.out.raw").mkdir()  # in the place of a new file: the move itself fails
    with pytest.raises(ConfigError, match=r"b\.out\.raw: found a folder"):
        publish_case("b")
    (folder / "b.out.raw").rmdir()
    rename = Path.rename

    def refuse_the_last(path: Path, target: Path) -> Path:
        if path.name == "config.meta" and target.parent == folder and path.parent.name != "replaced":
            raise OSError(28, "No space left on device")
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", refuse_the_last)
        with pytest.raises(ResourceError, match="No space left"):
            publish_case("b")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_names_of_long_cases() -> None:
    assert name_of_case("a", "config.meta") == "a.config.meta"
    assert name_of_case("a", "config.meta", 2) == "a-2.config.meta"
    first, second = (name_of_case("é" * 120 + end, "config_render.json") for end in "ab")
    assert first != second
    assert max(len(name.encode()) for name in (first, second)) <= 255
    assert first.endswith(".config_render.json")


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], bytes]:
    """Write the page of a case, and return its bytes."""
    viewer = tmp_path / "niivue.umd.js"
    viewer.write_bytes(asset.VIEWER_MARK)
    (tmp_path / "niivue.licence.txt").write_text("")
    monkeypatch.setattr(asset, "_VIEWER", viewer)
    folder = tmp_path / "publish"
    folder.mkdir()
    labels = np.zeros(SHAPE, np.uint8)
    legend = make_legend("model", {"0": {"voxels": labels.size, "ml": 1.0}}, LabelTable())

    def write(name: str, value: int = 0) -> bytes:
        written = write_page(volume(tmp_path, name, value), [LabelMap(labels, legend)], name, folder, SETTINGS)
        return written.read_bytes()

    return write


def test_each_case_has_one_page(folder: Path, page: Callable[..., bytes]) -> None:
    page("a & <b>", 1)
    second = page("b", 2)
    newer = page("a & <b>", 3)
    third = page("c", 4)
    assert sorted(path.name for path in folder.glob("*.html")) == ["a & <b>.index.html", "b.index.html", "index.html"]
    assert (folder / "b.index.html").read_bytes() == second
    assert (folder / "a & <b>.index.html").read_bytes() == newer
    assert (folder / "index.html").read_bytes() == third
    assert case_of_page(folder / "index.html") == "c"


def test_a_page_is_copied_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("os.link", refuse)
    (tmp_path / "stage").mkdir()
    (tmp_path / "index.html").write_text("a")
    older = rename_file(tmp_path / "stage", tmp_path / "index.html", "b", lambda path: path.read_text())
    assert (older.names, older.obsolete) == (["a.index.html"], [])
    assert (tmp_path / "stage" / "a.index.html").read_text() == "a"
