"""A series in index space: outputs that would place labels on a grid that does not exist."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpu_infer.errors import ConfigError
from gpu_infer.settings import Settings
from gpu_infer.volume.header import VolumeHeader


def check_index_space(settings: Settings, header: VolumeHeader, custom_writers: int = 0) -> None:
    """Refuse outputs that need a regular grid, if the volume is in index space.

    SEG and secondary captures place each slice by itself. `custom_writers` is the number of those in the configuration.
    Raises ConfigError.
    """
    if header.index_space is None:
        return
    where = f"{header.path}: --tilt index: no regular grid ({header.index_space.reason})"
    if options := [*_refused(settings), *(["custom writers"] if custom_writers else [])]:
        publish = "; --publish '' publishes nothing" if "--publish" in options else ""
        raise ConfigError(
            f"{where}, found {', '.join(options)}, expected --dicom-seg and --dicom-sc alone, whose slices have places"
            " of their own",
            remedy=f"leave {', '.join(options)} out{publish}",
        )
    if settings.dicom_seg is None and not settings.dicom_sc:
        raise ConfigError(
            f"{where}, so that no label map is written, expected a DICOM output",
            remedy="add --dicom-seg auto or --dicom-sc",
        )


def without_places(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of a run in index space: coordinates of points are null, because they are on no grid."""
    points = {
        name: [{**point, "ras_mm": None} for point in entries] for name, entries in facts.get("points", {}).items()
    }
    return {**facts, **({"points": points} if points else {})}


def _refused(settings: Settings) -> list[str]:
    given = {
        "--output with the name of a file": settings.output_name,
        "--format": settings.formats if settings.output_name is None else (),
        "--publish": settings.publish,
        "--page": settings.page,
        "--preview": settings.preview,
        "--plain-preview": settings.plain_preview,
        "--statistics": settings.statistics,
        "--scores": settings.scores,
        "--uncertainty": settings.uncertainty,
        "--dicom-sr": settings.dicom_sr,
        "--rtstruct": settings.rtstruct,
    }
    return [option for option, value in given.items() if value]
