"""The previews of a run: with the contours of the labels, and without."""

from __future__ import annotations

from pathlib import Path

from gpu_infer.redaction import reported_path
from gpu_infer.report import Report
from gpu_infer.results.failures import failure_warns
from gpu_infer.results.label_maps import output_base
from gpu_infer.segment import Segmentation
from gpu_infer.settings import Settings
from gpu_infer.volume.volume import Volume
from gpu_infer.writers.names import plain_preview_name, preview_name
from gpu_infer.writers.places import Place, preview_place


def preview_places(settings: Settings, base: str) -> list[Place]:
    """The previews that the options ask for; `base` is the name of the case."""
    return [preview_place(path) for path in _paths(settings, base)]


def write_previews(segmentation: Segmentation, volume: Volume, report: Report) -> list[Path]:
    """Write the previews that the options ask for into the output folder. A failure is a warning."""
    inputs = segmentation.plan.inputs
    base = output_base(inputs.settings, inputs.header)
    paths = _paths(inputs.settings, base)
    if not paths:
        return []
    from gpu_infer.writers import preview

    field = inputs.config.outputs[0].field
    labels, counts = segmentation.labels[field], segmentation.counts[field]
    with report.stage("preview"):
        for path in paths:
            contours = path.name == preview_name(base)
            with failure_warns(report, f"preview {path} failed"):
                preview.write_preview(
                    volume, labels, path, title=base, table=inputs.config.labels, counts=counts, contours=contours
                )
    written = [path for path in paths if path.is_file()]
    report.add(previews=[reported_path(path) for path in written])
    return written


def _paths(settings: Settings, base: str) -> list[Path]:
    names = [preview_name(base)] if settings.preview or settings.plain_preview else []
    if settings.plain_preview:
        names.append(plain_preview_name(base))
    return [settings.output / name for name in names]
