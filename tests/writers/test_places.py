"""Places of a run's files by name; what may be in them: test_collisions.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gpu_infer.errors import InputError
from gpu_infer.volume.geometry import Geometry
from gpu_infer.volume.volume import Volume
from gpu_infer.writers.places import (
    Place,
    check_name,
    check_places,
    files_to_copy,
    is_in_place,
    publish_places,
    published_masks,
)

FOLDER = Path("/out")


def names(places: list[Place]) -> list[str]:
    assert {place.path.parent for place in places} == {FOLDER}
    return [place.path.name for place in places]


def test_publish_folder() -> None:
    places = publish_places(FOLDER, "ct", ["ct"], [Path("/in/ct.nii.gz")], Path("/config/config_render.json"))
    assert names(places) == [
        *("ct.mhd", "ct.raw", "ct.out.mhd", "ct.out.raw", "ct.nii.gz", "config_render.json", "config.meta"),
    ]
    assert {place.option for place in places} == {"publish"}
    assert published_masks("ct", ["a", "b"]) == ["a.out", "b.out"]
    assert published_masks("ct", ["a"]) == ["ct.out"]


@pytest.mark.parametrize(("kind", "count"), [("nifti", 2), ("metaimage", 0), ("dicom", 0)])
def test_only_nifti_files_are_copied(kind: str, count: int) -> None:
    files = (Path("a.hdr"), Path("a.img"))
    volume = Volume(np.zeros((1, 1, 1, 1)), Geometry((1, 1, 1), np.eye(4)), files[0], kind, files=files)
    assert files_to_copy(volume) == files[:count]


def test_a_source_that_is_in_its_place(tmp_path: Path) -> None:
    source, place = tmp_path / "in", tmp_path / "out"
    source.touch()
    copy = Place(place, "a copy", "publish", lambda _: False, source)
    assert not is_in_place(copy)
    place.hardlink_to(source)
    assert is_in_place(copy)
    check_places([copy], [source])  # no error: it is not replaced
    place.unlink()
    place.symlink_to(source)
    assert not is_in_place(copy)


def test_the_hidden_folder_counts_for_the_path() -> None:
    folder = Path("/" + "/".join(["x" * 250] * 15))
    check_name(Place(folder / ("y" * 200), "", "output", lambda _: True))
    folder /= "x" * 200  # the file itself has 4,067 bytes, in its stage more than 4,096
    with pytest.raises(InputError, match=r"\d+ bytes in the path of an output, expected at most 4096"):
        check_name(Place(folder / ("y" * 100), "", "output", lambda _: True))
