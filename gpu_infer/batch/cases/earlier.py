"""Outputs of earlier runs and batches, which are no cases."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from gpu_infer.choices import Format
from gpu_infer.writers.formats.registry import FORMATS
from gpu_infer.writers.places import META_NAME
from gpu_infer.writers.recognise import is_header, is_meta
from gpu_infer.writers.score_maps import is_score_map

CASE_NAME, REPORT_NAME = "case.json", "report.json"
_LIMIT = 1 << 27

_MARKED: tuple[Format, ...] = ("seg.nrrd", "nrrd", "nii.gz", "nii", "mha")
"""Formats whose label maps have a mark that no other program writes; a plain .mhd may be from any program."""


def is_output_folder(folder: Path, names: set[str]) -> bool:
    """Whether `folder` has the outputs of a case of a batch, or those for a renderer.

    names  of the files in it
    """
    with suppress(OSError):
        if CASE_NAME in names and isinstance(_read(folder / CASE_NAME).get("status"), str):
            return True
        return META_NAME in names and is_meta(folder / META_NAME)
    return False


def outputs_among(folder: Path, paths: Iterable[Path]) -> set[Path]:
    """The volume files in `folder` that are label maps or maps of scores of this program."""
    reported: set[str] | None = None
    outputs: set[Path] = set()
    for path in paths:
        with suppress(OSError):
            if path.name.lower().endswith(".mhd"):
                reported = _reported(folder) if reported is None else reported
                is_ours = path.name in reported and is_header(path)
            else:
                is_ours = is_score_map(path) or any(
                    path.name.endswith(f".{each}") and FORMATS[each].is_ours(path) for each in _MARKED
                )
            if is_ours:
                outputs.add(path)
    return outputs


def _reported(folder: Path) -> set[str]:
    """Names of the label maps in `folder` that the reports there list."""
    names: set[str] = set()
    for place in (folder / REPORT_NAME, *folder.glob(f"*.{REPORT_NAME}")):
        with suppress(KeyError, TypeError, AttributeError):
            report = _read(place)
            if "gpu_infer" not in report["versions"]:
                continue
            paths = [Path(output["mhd"]) for output in report["outputs"]]
            names |= {path.name for path in paths if path.parent.resolve() == folder.resolve()}
    return names


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _LIMIT:
            return {}
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
