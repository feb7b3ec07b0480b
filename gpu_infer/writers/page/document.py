"""The parts of index.html: what comes before, between and after the voxels."""

from __future__ import annotations

import hashlib
import html
from functools import cache
from pathlib import Path

MARK = (
    b'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    b'<meta name="generator" content="gpu_infer page">'
)
"""The first bytes of each index.html, by which an older one is recognised."""

VIEWER_NAME = "niivue.umd.js"
LICENCE_NAME = "niivue.LICENSE.txt"

CASE = "case"
"""Id of the element with the JSON of the case."""

IMAGE = "image"
"""Id of the element with the volume, and its name at a server; those of label maps are `labels_id`."""


def labels_id(number: int) -> str:
    """Id of the element with the label map `number`."""
    return f"labels-{number}"


def begin(name: str, case_digest: str, *, served: bool = False) -> str:
    """Return the head of the page and everything that is visible.

    Args:
        name: of the case.
        case_digest: of its content. Scripts run with a nonce of it only, so that a script that a name might smuggle
            in would not.
        served: the voxels come from the server of the page; else they are inside it.
    """
    nonce = _nonce(case_digest)
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src 'nonce-{nonce}'",
            "style-src 'unsafe-inline'",
            "img-src data: blob:",
            "font-src data:",
            "connect-src 'self'" if served else "connect-src 'none'",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    text = (
        _part("page.html")
        .replace("{{policy}}", policy)
        .replace("{{style}}", _part("page.css"))
        .replace("{{nonce}}", nonce)
        .replace("{{viewer}}", VIEWER_NAME)
        .replace("{{title}}", html.escape(name))
    )
    return MARK.decode() + text


def begin_element(element_id: str, kind: str) -> str:
    """Return the begin of an element with data for the script, which `END_ELEMENT` ends."""
    return f'<script type="{kind}" id="{element_id}">'


END_ELEMENT = "</script>\n"


def end(case_digest: str) -> str:
    """Return the script of the page and its end."""
    return f'<script nonce="{_nonce(case_digest)}">\n{_part("page.js")}</script>\n</body>\n</html>\n'


def digest(*parts: bytes) -> str:
    """Return a digest for `begin` and `end`."""
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _nonce(case_digest: str) -> str:
    return case_digest[:32]


@cache
def _part(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")
