"""Every file that a run writes into its output folder, for the check before the inference."""

from __future__ import annotations

from gpu_infer.config.config import Config
from gpu_infer.settings import Settings
from gpu_infer.volume.header import VolumeHeader
from gpu_infer.volume.input_files import base_name
from gpu_infer.writers.places import PREVIEW_NAME, Place, label_map_places, preview_place
from gpu_infer.writers.statistics import statistics_places


def output_places(settings: Settings, config: Config, header: VolumeHeader) -> list[Place]:
    """The label maps, and what the options ask for."""
    fields = [output.field for output in config.outputs]
    places = label_map_places(settings.output, base_name(header.path), fields)
    if settings.preview:
        places.append(preview_place(settings.output / PREVIEW_NAME))
    if settings.statistics:
        places += statistics_places(settings.output, base_name(header.path), fields)
    return places
