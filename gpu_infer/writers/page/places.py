"""Places of the page in the publish folder, and what is recognised there as an older one."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from gpu_infer.writers.page.asset import LICENCE_MARK, VIEWER_MARK
from gpu_infer.writers.page.document import LICENCE_NAME, MARK, VIEWER_NAME
from gpu_infer.writers.places import Place

PAGE_NAME = "index.html"


def page_places(folder: Path) -> list[Place]:
    """Places of the page and of the files that it loads."""
    marks = {PAGE_NAME: MARK, VIEWER_NAME: VIEWER_MARK, LICENCE_NAME: LICENCE_MARK}
    return [
        Place(folder / name, "a page of an older run", "publish", partial(_begins_with, mark=mark))
        for name, mark in marks.items()
    ]


def _begins_with(path: Path, mark: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(mark)) == mark
