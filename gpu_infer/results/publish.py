"""The publish folder of a run."""

from __future__ import annotations

import filecmp
from collections.abc import Mapping
from pathlib import Path

from gpu_infer.config.config import Config
from gpu_infer.label_table.table import BACKGROUND
from gpu_infer.redaction import reported_path
from gpu_infer.report import Report
from gpu_infer.results.failures import failure_warns
from gpu_infer.results.label_maps import output_base
from gpu_infer.segment import Segmentation
from gpu_infer.settings import Settings
from gpu_infer.system.resources import resource_folder
from gpu_infer.volume.header import VolumeHeader
from gpu_infer.volume.volume import Volume
from gpu_infer.writers.label_maps import Files
from gpu_infer.writers.names import label_map_names
from gpu_infer.writers.places import Place, files_to_copy, publish_places
from gpu_infer.writers.render_settings import FILE_NAME, settings_for_labels

_MOST_DESCRIBED = 256
"""Labels of a configuration up to which all have a component in config_render.json; of more, those that occur."""


def publish_results(
    segmentation: Segmentation, volume: Volume, written: Mapping[str, Files], report: Report
) -> list[Path]:
    """Copy volume and label maps into the publish folder, if one is set, and record the files.

    A failure is a warning, because the segmentation is written already.
    """
    settings, published = segmentation.plan.inputs.settings, list[Path]()
    if settings.publish is None:
        return published
    from gpu_infer.writers.publish import MaskLabels, publish

    header, model = segmentation.plan.inputs.header, segmentation.plan.model_names
    names = label_map_names(output_base(settings, header), list(written))
    dtypes = {output.field: output.dtype for output in segmentation.plan.inputs.config.outputs}
    masks = [
        by_format["mhd"][0]
        if "mhd" in by_format
        else MaskLabels(names[field], segmentation.labels[field], dtypes[field])
        for field, by_format in written.items()
    ]
    with report.stage("publish"), failure_warns(report, f"publishing to {settings.publish} failed"):
        render = _settings_for(segmentation)
        dialect, base, states = settings.publish_dialect, header.case_name, header.states
        published = publish(volume, masks, model, settings.publish, render, dialect=dialect, base=base, states=states)
    report.add(published=[reported_path(path) for path in published])
    return published


def published_places(settings: Settings, config: Config, header: VolumeHeader) -> list[Place]:
    """Every file that the run writes into its publish folder; none without one."""
    if settings.publish is None:
        return []
    base = output_base(settings, header)
    masks = list(label_map_names(base, [output.field for output in config.outputs]).values())
    render = render_settings(settings.config)
    return publish_places(settings.publish, header.case_name, masks, files_to_copy(header), render)


def render_settings(config: Path) -> Path | None:
    """config_render.json next to the configuration, if there is one that is not the packaged one.

    An image that is derived from ours has the packaged one next to its own configuration.
    """
    own, packaged = config.parent / FILE_NAME, resource_folder("config") / FILE_NAME
    return own if own.is_file() and not filecmp.cmp(own, packaged, shallow=False) else None


def _settings_for(segmentation: Segmentation) -> Path | str:
    """The user's config_render.json, else one for the labels that the configuration describes or that occur."""
    inputs = segmentation.plan.inputs
    if (own := render_settings(inputs.settings.config)) is not None:
        return own
    table = inputs.config.labels
    occurring = {n for counts in segmentation.counts.values() for n, count in enumerate(counts) if count}
    described = set(table.described) if len(table.described) <= _MOST_DESCRIBED else set()
    values = sorted((described | occurring) - {BACKGROUND})
    return settings_for_labels(resource_folder("config") / FILE_NAME, [table[value] for value in values])
