"""Outputs of an older run with the same name that this run does not write: they stay, and belong to another result."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import get_args

from gpu_infer.choices import Format
from gpu_infer.config.config import Config
from gpu_infer.results.label_maps import output_base
from gpu_infer.results.places import output_places
from gpu_infer.settings import Settings
from gpu_infer.volume.header import VolumeHeader
from gpu_infer.writers.label_maps import label_map_places
from gpu_infer.writers.names import plain_preview_name, preview_name
from gpu_infer.writers.places import preview_place
from gpu_infer.writers.score_maps import score_map_places
from gpu_infer.writers.statistics import statistics_places

_NAMED = 4


def warn_of_older(settings: Settings, config: Config, header: VolumeHeader) -> list[str]:
    """One warning that names the older outputs of this name which stay next to the new ones; none without any."""
    folder, base = settings.output, output_base(settings, header)
    fields = [output.field for output in config.outputs]
    new = {place.path for place in output_places(settings, config, header)}
    places = label_map_places(folder, base, dict.fromkeys(fields, get_args(Format)))
    places += [preview_place(folder / name(base)) for name in (preview_name, plain_preview_name)]
    places += statistics_places(folder, base, fields)
    if settings.scores is None:  # the labels of "all" are not known here
        maps = (path.name for path in folder.glob("*.nii.gz") if path.name.startswith(f"{base}."))
        names = [name for name in maps if name.endswith((".score.nii.gz", ".uncertainty.nii.gz"))]
        places += score_map_places(folder, names)
    older: list[Path] = []
    for place in places:
        with suppress(OSError):
            if place.path not in new and place.path.is_file() and place.is_ours(place.path):
                older.append(place.path)
    if not older:
        return []
    listed = ", ".join(path.name for path in older[:_NAMED])
    more = f" and {len(older) - _NAMED} more" if len(older) > _NAMED else ""
    return [f"{folder}: outputs of an earlier run stay, which this run does not write: {listed}{more}"]
