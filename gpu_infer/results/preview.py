"""The preview of a run."""

from __future__ import annotations

from pathlib import Path

from gpu_infer.report import Report
from gpu_infer.results.failures import failure_warns
from gpu_infer.segment import Segmentation
from gpu_infer.volume.volume import Volume


def write_preview(segmentation: Segmentation, volume: Volume, report: Report) -> Path | None:
    """Write preview.png into the output folder, if the options ask for it. A failure is a warning."""
    inputs = segmentation.plan.inputs
    if not inputs.settings.preview:
        return None
    from gpu_infer.writers import preview

    path, labels = inputs.settings.output / "preview.png", segmentation.labels[inputs.config.outputs[0].field]
    with report.stage("preview"), failure_warns(report, f"preview {path} failed"):
        return preview.write_preview(volume, labels, path)
    return None
