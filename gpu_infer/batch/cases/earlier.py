"""Outputs of earlier runs and batches, which are no cases."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from gpu_infer.writers.places import META_NAME
from gpu_infer.writers.recognise import is_meta

CASE_NAME = "case.json"
_LIMIT = 1 << 27


def is_output_folder(folder: Path, names: set[str]) -> bool:
    """Whether `folder` has the outputs of a case of a batch, or those for a renderer.

    names  of the files in it
    """
    with suppress(OSError):
        if CASE_NAME in names and isinstance(_read(folder / CASE_NAME).get("status"), str):
            return True
        return META_NAME in names and is_meta(folder / META_NAME)
    return False


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _LIMIT:
            return {}
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
