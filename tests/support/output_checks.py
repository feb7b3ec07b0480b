"""The check of a run's places before the inference, with the places of label maps, preview and publish folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gpu_infer.choices import Format
from gpu_infer.volume.header import VolumeHeader
from gpu_infer.volume.input_files import base_name
from gpu_infer.volume.volume import Volume
from gpu_infer.writers.collisions import check_outputs
from gpu_infer.writers.label_maps import label_map_places
from gpu_infer.writers.names import label_map_names, preview_name
from gpu_infer.writers.places import files_to_copy, preview_place, publish_places


def check_all_outputs(
    volume: Volume | VolumeHeader,
    fields: Sequence[str],
    output: Path,
    publish: Path | None,
    render_settings: Path,
    *,
    preview: bool = False,
    formats: Sequence[Format] = ("mhd",),
) -> None:
    """`check_outputs` for a run with these outputs."""
    base = base_name(volume.path)
    places = label_map_places(output, base, dict.fromkeys(fields, formats))
    if preview:
        places.append(preview_place(output / preview_name(base)))
    masks = list(label_map_names(base, list(fields)).values())
    published = [] if publish is None else publish_places(publish, base, masks, files_to_copy(volume), render_settings)
    check_outputs(volume.files or (volume.path,), output, places, publish, published)
