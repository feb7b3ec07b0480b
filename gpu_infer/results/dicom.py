"""The DICOM files of a run: SEG, SR, RTSTRUCT, secondary captures, and sending them."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gpu_infer.config.config import Config
from gpu_infer.environment import environment_value
from gpu_infer.errors import ConfigError, InputError, ServerError
from gpu_infer.redaction import reported_path
from gpu_infer.report import Report
from gpu_infer.results.label_maps import output_base
from gpu_infer.segment import Segmentation
from gpu_infer.send.address import WebServer, parse_address
from gpu_infer.settings import Settings
from gpu_infer.volume.geometry import Orientation
from gpu_infer.volume.header import VolumeHeader
from gpu_infer.volume.millilitres import rounded_ml
from gpu_infer.volume.volume import Volume
from gpu_infer.writers.atomic import still_there
from gpu_infer.writers.names import captures_folder, label_map_names
from gpu_infer.writers.places import Place

if TYPE_CHECKING:
    from gpu_infer.writers.dicom.series_files import LabelMap
    from gpu_infer.writers.dicom.source import Source

log = logging.getLogger(__name__)

AUTHORIZATION = "GPU_INFER_DICOMWEB_AUTHORIZATION"
"""Environment variable with the value of the header Authorization for a DICOMweb server."""

_LIBRARIES = ("highdicom", "pynetdicom", "dicomweb_client")
_LONGEST_SCHEME = 16


def wants_dicom(settings: Settings) -> bool:
    """Whether an option asks for a DICOM file."""
    return bool(settings.dicom_seg or settings.dicom_sc or settings.dicom_sr or settings.rtstruct)


def check_dicom_options(settings: Settings, config: Config) -> None:
    """Refuse options that contradict each other or need a missing library, and labels that DICOM cannot name.

    Raises ConfigError.
    """
    has_output = wants_dicom(settings)
    if settings.tilt == "index" and settings.dicom_reference is not None:
        raise ConfigError(
            "--tilt index contradicts --dicom-reference: it is for a DICOM input, which is its own reference",
            remedy="give the series as --input, or leave one of the two out",
        )
    for option, value in (("--dicom-reference", settings.dicom_reference), ("--send", settings.send)):
        if value is not None and not has_output:
            raise ConfigError(
                f"{option} needs a DICOM output",
                remedy="add --dicom-seg, --dicom-sc, --dicom-sr or --rtstruct, or leave it out",
            )
    if not has_output:
        return
    if settings.dicom_sr and settings.dicom_seg is None:
        raise ConfigError("--dicom-sr needs --dicom-seg, to whose segments it refers", remedy="add --dicom-seg auto")
    for library in _LIBRARIES:
        if find_spec(library) is None:
            raise ConfigError(
                f"DICOM outputs: need {library}, which is not installed", remedy="pip install 'gpu-infer[dicom]'"
            )
    if settings.send is not None:
        parse_address(settings.send)
    for label in config.labels.described.values():
        for code in (label.category, label.type, label.modifier):
            if code is not None and len(code.scheme) > _LONGEST_SCHEME:
                raise ConfigError(
                    f"{config.labels.source}: label {label.value}: scheme {code.scheme!r}, expected at most"
                    f" {_LONGEST_SCHEME} characters",
                    remedy="give the designator that DICOM has for the coding scheme, such as SCT",
                )


def dicom_source(settings: Settings, header: VolumeHeader) -> Source | None:
    """The series to which the DICOM outputs belong; None without such outputs.

    Raises InputError if the input is no DICOM series and there is no reference, or if the grids differ.
    """
    if not wants_dicom(settings):
        return None
    from gpu_infer.writers.dicom.source import read_source

    if settings.dicom_reference is not None:
        from gpu_infer.volume.formats.dicom.series import read_series
        from gpu_infer.volume.formats.dicom.slices import IrregularSlices
        from gpu_infer.writers.dicom.grids import match_grids

        folder = settings.dicom_reference
        if not folder.is_dir():
            raise InputError(
                f"--dicom-reference {folder}: no such folder", remedy="give the folder of the series of the volume"
            )
        try:
            series = read_series(folder)
        except IrregularSlices as error:
            raise InputError(
                f"--dicom-reference {error.message}",
                remedy="segment the series itself: give it as --input, with --tilt index",
            ) from None
        orientation = match_grids(header.geometry, series.geometry, header.path, folder)
        return read_source(series.files, series.geometry, folder, orientation)
    if header.format != "dicom":
        raise InputError(
            f"{header.path}: DICOM outputs need the headers of a series, found {header.format}",
            remedy="add --dicom-reference FOLDER with the series from which it was converted",
        )
    if len(settings.channels) > 1:
        raise InputError(
            f"{header.path}: DICOM outputs belong to one series, found {len(settings.channels)} inputs of channels",
            remedy="add --dicom-reference FOLDER with the series to which they belong",
        )
    return read_source(
        header.files, header.geometry, header.path, Orientation.identity(), index_space=header.index_space
    )


def dicom_places(settings: Settings, config: Config, header: VolumeHeader) -> list[Place]:
    """Every DICOM file that the run may write.

    The pictures of a NIfTI input are counted along its longest axis: which axis the slices are across is known later.
    """
    if not wants_dicom(settings):
        return []
    from gpu_infer.writers.dicom.document import is_output
    from gpu_infer.writers.dicom.series_files import single_files

    names = label_map_names(output_base(settings, header), [output.field for output in config.outputs])
    paths = [path for name in names.values() for path in single_files(settings.output, name, settings).values()]
    if settings.dicom_sc:
        count = header.geometry.shape[2] if header.format == "dicom" else max(header.geometry.shape)
        for name in names.values():
            folder = captures_folder(settings.output, name)
            paths += [folder / f"{number:04d}.dcm" for number in range(1, count + 1)]
    return [Place(path, "a DICOM file of an older run", "output", is_output) for path in paths]


def write_dicom(segmentation: Segmentation, volume: Volume, source: Source | None, report: Report) -> list[Path]:
    """Write the DICOM files that the options ask for, record them, send them, and return their paths.

    A label map without labels has no files, because a SEG without frames is not allowed; its older files are removed.

    Raises:
        ConfigError, ResourceError: a file cannot be written; those of the label map stay.
        InputError: the headers of the source do not allow it.
        ServerError: not every file could be sent; all stay.
    """
    if source is None:
        return []
    from gpu_infer.writers.dicom.document import Algorithm
    from gpu_infer.writers.dicom.series_files import SERIES_STEP, remove_older, write_files

    inputs, plan = segmentation.plan.inputs, segmentation.plan
    settings, config = inputs.settings, inputs.config
    names = label_map_names(
        output_base(settings, segmentation.plan.inputs.header), [output.field for output in config.outputs]
    )
    algorithm, files, empty = Algorithm(plan.model_names, plan.model_versions), list[Path](), list[str]()
    with report.stage("dicom"), still_there(settings.output):
        for number, (field, name) in enumerate(names.items()):
            label_map = _label_map(segmentation, volume, field, name, config)
            if label_map.labels:
                files += write_files(label_map, volume, source, algorithm, settings, SERIES_STEP * number)
            else:
                empty.append(field)
                remove_older(settings.output, name, settings)
    for field in empty:
        log.info("no label in %r: no DICOM files, which cannot be empty", field)
    report.add(dicom={"files": [reported_path(path) for path in files], "empty": empty})
    if settings.send is not None:
        _send(files, settings.send, report)
    return files


def _label_map(segmentation: Segmentation, volume: Volume, field: str, name: str, config: Config) -> LabelMap:
    from gpu_infer.writers.dicom.series_files import LabelMap

    counts = segmentation.counts[field]
    voxel_ml = abs(float(np.linalg.det(volume.geometry.affine[:3, :3]))) / 1000.0
    volumes_ml: Mapping[int, float] = {
        label: rounded_ml(count * voxel_ml) for label, count in enumerate(counts) if label and count
    }
    labels = [config.labels[label] for label in volumes_ml]
    return LabelMap(name, segmentation.labels[field], labels, volumes_ml)


def _send(files: list[Path], text: str, report: Report) -> None:
    """Send the files, record what became of them, and raise ServerError unless all are stored."""
    from gpu_infer.send.store import store
    from gpu_infer.send.stow import stow

    address = parse_address(text)
    with report.stage("send"):
        if isinstance(address, WebServer):
            authorization = environment_value(os.environ, AUTHORIZATION)
            if authorization and address.url.startswith("http://"):
                report.warn(f"{AUTHORIZATION}: sent without TLS to {address}")
            outcome = stow(files, address, authorization)
        else:
            outcome = store(files, address)
    for file, reason in outcome.warned:
        report.warn(f"{address}: stored {file.name} with a warning: {reason}")
    report.add(
        dicom={
            "sent": {
                "address": str(address),
                "stored": [reported_path(file) for file in outcome.stored],
                "refused": [reported_path(file) for file, _ in outcome.refused],
            }
        }
    )
    log.info("sent %d of %d DICOM files to %s", len(outcome.stored), len(files), address)
    if outcome.refused:
        first, reason = outcome.refused[0]
        raise ServerError(
            f"--send {address}: {len(outcome.stored)} of {len(files)} files stored, {len(outcome.refused)} not; the"
            f" first is {first.name}: {reason}",
            remedy="all files are in the output folder; report.json lists those that were not stored",
        )
