"""Places of the page in the publish folder, and what is recognised there as an older one."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from gpu_infer.writers.page.asset import LICENCE_MARK, VIEWER_MARK
from gpu_infer.writers.page.document import LICENCE_NAME, MARK, VIEWER_NAME
from gpu_infer.writers.places import Place

PAGE_NAME = "index.html"
_HEAD_BYTES = 1 << 16


def page_places(folder: Path) -> list[Place]:
    """Places of the page and of the files that it loads."""
    marks = {PAGE_NAME: MARK, VIEWER_NAME: VIEWER_MARK, LICENCE_NAME: LICENCE_MARK}
    return [
        Place(folder / name, "a page of an older run", "publish", partial(_begins_with, mark=mark))
        for name, mark in marks.items()
    ]


def case_of_page(path: Path) -> str | None:
    """Name of the case that a page shows; None for a file of another program."""
    if not _begins_with(path, MARK):
        return None
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    title = re.search(rb"<title>(.*?)</title>", head, re.DOTALL)
    if title is None:
        return None
    from html import unescape

    name = unescape(title[1].decode("utf-8", "replace"))
    return name if name and Path(name).name == name and "\0" not in name else None


def _begins_with(path: Path, mark: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(mark)) == mark
