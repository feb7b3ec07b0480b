"""Check the input: the file that a run takes, and its header."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpu_infer.doctor.check import Check, failure
from gpu_infer.errors import GpuInferError, InputError
from gpu_infer.settings import Settings

if TYPE_CHECKING:
    from gpu_infer.config.config import Config
    from gpu_infer.volume.header import VolumeHeader

NAME = "input"


def check_input(settings: Settings, config: Config | None) -> tuple[VolumeHeader | None, list[Check]]:
    """The header of the volume that a run would read, None if it would refuse it, and checks of it.

    config  names the files of a folder with several channels; None: not known
    """
    from gpu_infer.planning.free_memory import check_stored
    from gpu_infer.planning.run_inputs import RunInputs, input_options
    from gpu_infer.planning.volume_choice import check_whole
    from gpu_infer.results.index_space import check_index_space
    from gpu_infer.results.label_maps import check_grid
    from gpu_infer.volume.open_input import InputOptions, open_input
    from gpu_infer.writers.own_volumes import own_volumes

    if config is None:
        options = InputOptions(
            allow_foreign=settings.allow_foreign_data_files,
            name=settings.name,
            first=settings.first,
            tilt=settings.tilt,
            outputs=own_volumes,
        )
    else:
        options = input_options(settings, config, config.pipeline())
    try:
        with open_input(settings.input, options) as header:  # an unpacked archive is removed: a plan needs no voxels
            series = _check_series(settings, header)
        if config is None:
            check_stored(header.nbytes + header.extra, header.path)
        else:
            check_whole(RunInputs(settings, config, config.pipeline(), header))
        check_index_space(settings, header, 0 if config is None else len(config.own_writers))
        remarks = [] if config is None else check_grid(settings, config, header)
    except (GpuInferError, OSError) as error:
        if not isinstance(error, GpuInferError):
            error = InputError(str(error))
        return None, [failure(NAME, error.__class__(error.message, remedy=error.remedy or _REMEDY))]
    checks = [Check(NAME, "ok", _describe(header))]
    checks += [Check(NAME, "warn", f"{header.path}: {message}", _CHECK_FILE) for message in header.warnings]
    checks += [Check(NAME, "warn", remark, "choose another format with --format") for remark in remarks]
    return header, checks + series


_REMEDY = "give a readable file or folder with --input"
_CHECK_FILE = "check the file, or give the one that you mean with --input"


def _check_series(settings: Settings, header: VolumeHeader) -> list[Check]:
    """A failure if the DICOM outputs cannot belong to a series; no check if they can, or without such outputs."""
    from gpu_infer.results.dicom import dicom_source

    try:
        dicom_source(settings, header)
    except GpuInferError as error:
        return [failure("dicom", error)]
    return []


def _describe(header: VolumeHeader) -> str:
    """Path, format, size, spacing and dtype, as of `scan.nii.gz: nifti, 512×512×300 voxels of 0.7×0.7×1 mm, int16`."""
    from gpu_infer.volume.geometry import format_shape

    spacing = "×".join(f"{size:.4g}" for size in header.geometry.spacing)
    facts = f"{header.format}, {format_shape(header.geometry.shape)} voxels of {spacing} mm, {header.dtype}"
    if header.channels > 1:
        facts += f", {header.channels} channels"
    files = header.files if header.channels > 1 and header.format != "dicom" else (header.path,)
    return f"{', '.join(map(str, files))}: {facts}"
