"""Every file that a run writes into its output folder, for the check before the inference."""

from __future__ import annotations

from gpu_infer.config.config import Config
from gpu_infer.results.label_maps import label_map_base, label_map_formats
from gpu_infer.settings import Settings
from gpu_infer.volume.header import VolumeHeader
from gpu_infer.writers.label_maps import label_map_places
from gpu_infer.writers.places import PREVIEW_NAME, Place, preview_place


def output_places(settings: Settings, config: Config, header: VolumeHeader) -> list[Place]:
    """The label maps, and what the options ask for."""
    formats = {output.field: label_map_formats(settings, output) for output in config.outputs}
    places = label_map_places(settings.output, label_map_base(settings, header.path), formats)
    if settings.preview:
        places.append(preview_place(settings.output / PREVIEW_NAME))
    return places
