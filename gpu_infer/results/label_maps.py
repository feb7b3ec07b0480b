"""The label maps of a run."""

from __future__ import annotations

import logging

import numpy as np

from gpu_infer.choices import DEFAULT_FORMAT, Format
from gpu_infer.config.config import Config, Output
from gpu_infer.errors import ConfigError
from gpu_infer.report import Report, output_sections
from gpu_infer.segment import Segmentation
from gpu_infer.settings import Settings
from gpu_infer.volume.header import VolumeHeader
from gpu_infer.volume.volume import Volume
from gpu_infer.writers.atomic import still_there
from gpu_infer.writers.formats.registry import FORMATS
from gpu_infer.writers.label_maps import Files, LabelMap, least_label_map_bytes, write_label_maps

log = logging.getLogger(__name__)


def write_labels(segmentation: Segmentation, volume: Volume, report: Report) -> dict[str, Files]:
    """Write all label maps into the output folder and record them; returns their files by output field.

    In index space there are no files, and the record has no volumes in ml.

    Raises what `write_label_maps` raises; no file is replaced then.
    """
    inputs = segmentation.plan.inputs
    settings, outputs, table = inputs.settings, inputs.config.outputs, inputs.config.labels
    folder, base = settings.output, output_base(settings, inputs.header)
    with report.stage("write"):
        maps = {
            output.field: LabelMap(
                segmentation.labels[output.field], output.dtype, label_map_formats(settings, output, inputs.header)
            )
            for output in outputs
        }
        with still_there(folder):
            written = write_label_maps(maps, volume.geometry, folder, base, table=table, nifti=inputs.header.nifti)
    for by_format in written.values():
        for paths in by_format.values():
            log.info("wrote %s", paths[0])
    geometry = volume.geometry if inputs.header.index_space is None else None
    report.add(**output_sections(outputs, written, segmentation.counts, geometry, table))
    for field, by_format in written.items():
        if not any(segmentation.counts[field][1:]):
            name = next((paths[0].name for paths in by_format.values()), field)
            report.warn(
                f"label map {name}: every voxel is 0 (if that is unexpected, compare "
                "pre_transforms with the training of the model: spacing, intensity range, orientation)"
            )
    return written


def output_base(settings: Settings, header: VolumeHeader) -> str:
    """The name with which all files in the output folder begin: that of `--output`, if it is a file, or the case's."""
    return settings.output_name or header.case_name


def label_map_formats(settings: Settings, output: Output, header: VolumeHeader) -> tuple[Format, ...]:
    """Formats of an output: those of the options, of the configuration, or the default.

    None in index space: the formats describe a regular grid.
    """
    if header.index_space is not None:
        return ()
    return settings.formats or output.formats or (DEFAULT_FORMAT,)


def least_bytes(settings: Settings, config: Config, header: VolumeHeader) -> int:
    """The smallest number of bytes that the label maps of a run may take, for which `write_label_maps` looks first."""
    return least_label_map_bytes(
        (FORMATS[each], np.broadcast_to(np.zeros((), output.dtype), header.geometry.shape))
        for output in config.outputs
        for each in label_map_formats(settings, output, header)
    )


def check_one_file(settings: Settings, config: Config) -> None:
    """Raise `ConfigError` if `--output` names the file of a label map, but there are several or `--name` names it."""
    if settings.output_name is not None and settings.name is not None:
        raise ConfigError(
            f"--name: found {settings.name!r}, but --output names the file {settings.output_name!r}, expected one name",
            remedy="leave --name out, or give a folder",
        )
    if settings.output_name is not None and len(config.outputs) > 1:
        fields = ", ".join(output.field for output in config.outputs)
        raise ConfigError(
            f"--output: found the name of one file, {settings.output_name!r}, expected a folder: the configuration "
            f"writes the label maps {fields}",
            remedy="give a folder, and the format with --format",
        )


def check_grid(settings: Settings, config: Config, header: VolumeHeader) -> list[str]:
    """Warnings about the grid of the input in the formats of the label maps.

    Raises `ConfigError` if a format cannot contain it.
    """
    warnings = []
    formats = [each for output in config.outputs for each in label_map_formats(settings, output, header)]
    for each in dict.fromkeys(formats):
        if (reason := FORMATS[each].refusal(header.geometry)) is not None:
            raise ConfigError(
                f"{header.path}: cannot be segmented into a .{each}: {reason}",
                remedy="choose another format with --format",
            )
        if (remark := FORMATS[each].warning(header.geometry, header.nifti)) is not None:
            warnings.append(f"label map as .{each}: {remark}")
    return warnings
