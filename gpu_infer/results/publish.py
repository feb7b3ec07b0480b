"""The publish folder of a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gpu_infer.config.config import Config
from gpu_infer.report import Report
from gpu_infer.results.failures import failure_warns
from gpu_infer.results.label_maps import label_map_base
from gpu_infer.segment import Segmentation
from gpu_infer.settings import Settings
from gpu_infer.system.resources import resource_folder
from gpu_infer.volume.header import VolumeHeader
from gpu_infer.volume.input_files import base_name
from gpu_infer.volume.volume import Volume
from gpu_infer.writers.label_maps import Files
from gpu_infer.writers.names import label_map_names
from gpu_infer.writers.places import Place, files_to_copy, publish_places


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

    base, model = label_map_base(settings, volume.path), segmentation.plan.model.name
    names = label_map_names(base, list(written))
    dtypes = {output.field: output.dtype for output in segmentation.plan.inputs.config.outputs}
    masks = [
        by_format["mhd"][0]
        if "mhd" in by_format
        else MaskLabels(names[field], segmentation.labels[field], dtypes[field])
        for field, by_format in written.items()
    ]
    with report.stage("publish"), failure_warns(report, f"publishing to {settings.publish} failed"):
        render = render_settings(settings.config)
        published = publish(volume, masks, model, settings.publish, render, dialect=settings.publish_dialect)
    report.add(published=[str(path) for path in published])
    return published


def published_places(settings: Settings, config: Config, header: VolumeHeader) -> list[Place]:
    """Every file that the run writes into its publish folder; none without one."""
    if settings.publish is None:
        return []
    base = label_map_base(settings, header.path)
    masks = list(label_map_names(base, [output.field for output in config.outputs]).values())
    render = render_settings(settings.config)
    return publish_places(settings.publish, base_name(header.path), masks, files_to_copy(header), render)


def render_settings(config: Path) -> Path:
    """config_render.json next to the configuration if there is one, else the packaged one."""
    own = config.parent / "config_render.json"
    return own if own.is_file() else resource_folder("config") / "config_render.json"
