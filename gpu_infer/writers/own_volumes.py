"""Volumes that this program has written: in a folder that is input and output at once, they are no inputs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from gpu_infer.choices import Format
from gpu_infer.volume.input_files import extension
from gpu_infer.writers.formats.registry import FORMATS
from gpu_infer.writers.recognise import is_header
from gpu_infer.writers.reports import REPORT_NAME
from gpu_infer.writers.score_maps import is_score_map

_BY_MARK: dict[str, tuple[Format, ...]] = {
    ".mha": ("mha",),
    ".nii.gz": ("nii.gz",),
    ".nii": ("nii",),
    ".nrrd": ("nrrd", "seg.nrrd"),
}
"""Formats whose files have a mark, by extension."""

_WITH_SCORES = (".nii.gz", ".nrrd")


def own_volumes(volumes: Sequence[Path]) -> set[Path]:
    """Return which of the volumes in one folder are label maps or score maps of this program.

    A mark in the file shows it. A .mhd has none, because its renderers expect a plain header: it counts if the report
    of a run in the same folder lists it as an output. A file that cannot be read does not count.
    """
    headers = [volume for volume in volumes if extension(volume) == ".mhd"]
    written = _written(headers[0].parent) if headers else []
    own: set[Path] = set()
    for volume in volumes:
        with suppress(OSError):
            if _has_mark(volume) or (volume in headers and is_header(volume) and _is_listed(volume, written)):
                own.add(volume)
    return own


def _has_mark(path: Path) -> bool:
    kind = extension(path) or ""
    if kind in _WITH_SCORES and is_score_map(path):
        return True
    return any(FORMATS[each].is_ours(path) for each in _BY_MARK.get(kind, ()))


def _is_listed(path: Path, written: Sequence[Path]) -> bool:
    """Whether a report names `path`; a relative path in it is one from another working folder."""
    actual = path.resolve()
    return any(
        listed.resolve() == actual or (not listed.is_absolute() and actual.parts[-len(listed.parts) :] == listed.parts)
        for listed in written
    )


def _written(folder: Path) -> list[Path]:
    """The headers of label maps and published volumes that the reports in `folder` list, without inputs of the runs."""
    written: list[Path] = []
    for report in (folder / REPORT_NAME, *sorted(folder.glob(f"*.{REPORT_NAME}"))):
        content = _read(report)
        inputs = {str(file) for file in _list(_object(content.get("input")).get("files"))}
        names = [*_outputs(content), *_list(content.get("published"))]
        written += [Path(name) for name in names if isinstance(name, str) and name not in inputs]
    return written


def _outputs(report: dict[str, Any]) -> Iterator[object]:
    for output in _list(report.get("outputs")):
        yield _object(output).get("mhd")


def _read(path: Path) -> dict[str, Any]:
    try:
        return _object(json.loads(path.read_bytes())) if path.is_file() else {}
    except (OSError, ValueError, RecursionError):
        return {}


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
