"""Every file that a run writes into its output folder, for the check before the inference."""

from __future__ import annotations

from gpu_infer.config.config import Config
from gpu_infer.results.dicom import dicom_places
from gpu_infer.results.label_maps import label_map_formats, output_base
from gpu_infer.results.own_writers import own_places
from gpu_infer.results.preview import preview_places
from gpu_infer.results.scores import score_places
from gpu_infer.settings import Settings
from gpu_infer.volume.header import VolumeHeader
from gpu_infer.writers.label_maps import label_map_places
from gpu_infer.writers.places import Place
from gpu_infer.writers.statistics import statistics_places


def output_places(settings: Settings, config: Config, header: VolumeHeader) -> list[Place]:
    """The label maps, and what the options ask for, and the files of custom writers."""
    base = output_base(settings, header)
    formats = {output.field: label_map_formats(settings, output, header) for output in config.outputs}
    places = label_map_places(settings.output, base, formats)
    places += preview_places(settings, base)
    if settings.statistics:
        places += statistics_places(settings.output, base, list(formats))
    places += score_places(settings, config, header)
    places += dicom_places(settings, config, header)
    return places + own_places(settings, config, header, places)
