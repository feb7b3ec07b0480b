"""What a run writes: label maps, the publish folder and the preview."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from gpu_infer.errors import GpuInferError, Interrupted
from gpu_infer.report import Report, output_sections
from gpu_infer.segment import Segmentation
from gpu_infer.system.resources import resource_folder
from gpu_infer.volume.volume import Volume
from gpu_infer.writers.atomic import still_there
from gpu_infer.writers.label_maps import Pair, write_label_maps

log = logging.getLogger(__name__)


def write_labels(segmentation: Segmentation, volume: Volume, base: str, report: Report) -> dict[str, Pair]:
    """Write all label maps into the output folder and record them; returns header and voxels by output field.

    base  file name without extension

    Raises what `write_label_maps` raises; no file is replaced then.
    """
    inputs = segmentation.plan.inputs
    folder, outputs = inputs.settings.output, inputs.config.outputs
    with report.stage("write"):
        maps = {output.field: (segmentation.labels[output.field], output.dtype) for output in outputs}
        with still_there(folder):
            written = write_label_maps(maps, volume.geometry, folder, base)
    for mhd, _ in written.values():
        log.info("wrote %s", mhd)
    report.add(**output_sections(outputs, written, segmentation.counts, volume.geometry, inputs.config.labels))
    return written


def publish_results(
    segmentation: Segmentation, volume: Volume, written: Mapping[str, Pair], report: Report
) -> list[Path]:
    """Copy volume and label maps into the publish folder, if one is set, and record the files.

    A failure is a warning, because the segmentation is written already.
    """
    settings, published = segmentation.plan.inputs.settings, list[Path]()
    if settings.publish is None:
        return published
    from gpu_infer.writers.publish import publish

    masks, model = [mhd for mhd, _ in written.values()], segmentation.plan.model.name
    with report.stage("publish"), _failure_warns(report, f"publishing to {settings.publish} failed"):
        render = render_settings(settings.config)
        published = publish(volume, masks, model, settings.publish, render, dialect=settings.publish_dialect)
    report.add(published=[str(path) for path in published])
    return published


def write_preview(segmentation: Segmentation, volume: Volume, report: Report) -> Path | None:
    """Write preview.png into the output folder, if the options ask for it. A failure is a warning."""
    inputs = segmentation.plan.inputs
    if not inputs.settings.preview:
        return None
    from gpu_infer.writers import preview

    path, labels = inputs.settings.output / "preview.png", segmentation.labels[inputs.config.outputs[0].field]
    with report.stage("preview"), _failure_warns(report, f"preview {path} failed"):
        return preview.write_preview(volume, labels, path)
    return None


def render_settings(config: Path) -> Path:
    """config_render.json next to the configuration if there is one, else the packaged one."""
    own = config.parent / "config_render.json"
    return own if own.is_file() else resource_folder("config") / "config_render.json"


@contextmanager
def _failure_warns(report: Report, failure: str) -> Iterator[None]:
    try:
        yield
    except Interrupted:
        raise
    except (GpuInferError, OSError) as error:
        report.warn(f"{failure}: {error}")
