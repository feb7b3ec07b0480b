"""The label maps of a run."""

from __future__ import annotations

import logging

from gpu_infer.report import Report, output_sections
from gpu_infer.segment import Segmentation
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
