"""Every file that a run writes into its output folder, for the check before the inference."""

from __future__ import annotations

from gpu_infer.config.config import Config
from gpu_infer.results.preview import preview_places
from gpu_infer.settings import Settings
from gpu_infer.volume.header import VolumeHeader
from gpu_infer.writers.places import Place, label_map_places


def output_places(settings: Settings, config: Config, header: VolumeHeader) -> list[Place]:
    """The label maps, and what the options ask for."""
    fields = [output.field for output in config.outputs]
    base = header.case_name
    places = label_map_places(settings.output, base, fields)
    places += preview_places(settings, base)
    return places
