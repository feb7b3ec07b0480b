"""The files of custom writers."""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from pathlib import Path

from gpu_infer.config.config import Config
from gpu_infer.redaction import reported_path
from gpu_infer.report import Report
from gpu_infer.results.label_maps import output_base
from gpu_infer.segment import Segmentation
from gpu_infer.settings import Settings
from gpu_infer.transforms.custom.arrays import read_only
from gpu_infer.volume.header import VolumeHeader
from gpu_infer.volume.volume import Volume
from gpu_infer.writers.atomic import still_there
from gpu_infer.writers.base import LabelResult
from gpu_infer.writers.custom.write import check_own_names, write_files, writer_places
from gpu_infer.writers.places import Place

log = logging.getLogger(__name__)


def own_places(settings: Settings, config: Config, header: VolumeHeader, others: Sequence[Place]) -> list[Place]:
    """Places of the files of custom writers in the output folder.

    others  places of all other outputs

    Raises ConfigError if two files would have one name, or if a writer fails.
    """
    base, known = output_base(settings, header), list(others)
    places: list[Place] = []
    for own in config.own_writers:
        new = writer_places(own.writer, settings.output, base)
        check_own_names(new, known)
        known += new
        places += new
    return places


def write_own(segmentation: Segmentation, volume: Volume, report: Report) -> list[Path]:
    """Let every custom writer write its files, and extend the report; returns the files.

    Raises what `write_files` raises; the label maps are written already.
    """
    inputs, written = segmentation.plan.inputs, []
    sections = []
    folder = inputs.settings.output
    for own in inputs.config.own_writers:
        with report.stage("write"), still_there(folder):
            result = LabelResult(
                name=output_base(inputs.settings, inputs.header),
                field=own.field,
                labels=read_only(segmentation.labels[own.field]),
                geometry=copy.deepcopy(volume.geometry),
                table=inputs.config.labels,
                report=copy.deepcopy(report.data),
            )
            files = write_files(own.writer, result, folder)
        for path in files:
            log.info("wrote %s", path)
        names = [reported_path(path) for path in files]
        sections.append({"writer": own.writer.label, "field": own.field, "files": names})
        written += files
    if sections:
        report.add(own_writers=sections)
    return written
