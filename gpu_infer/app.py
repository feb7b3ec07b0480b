"""The operator: one volume in, one segmentation out. `run` is the order of the stages."""

from __future__ import annotations

import logging
import os
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from gpu_infer.backends.pending import begin_backend
from gpu_infer.config.config import Config
from gpu_infer.config.load import load_config
from gpu_infer.connect import connect
from gpu_infer.errors import ConfigError, GpuInferError
from gpu_infer.planning.free_memory import check_stored
from gpu_infer.planning.run_inputs import RunInputs, input_options, model_name
from gpu_infer.planning.run_plan import plan_run
from gpu_infer.planning.score_options import score_options
from gpu_infer.progress import ProgressCallback, silent
from gpu_infer.report import Report, config_section, gpu_section, input_section, triton_section
from gpu_infer.results.dicom import check_dicom_options, dicom_source, write_dicom
from gpu_infer.results.index_space import check_index_space, without_places
from gpu_infer.results.label_maps import check_grid, check_one_file, write_labels
from gpu_infer.results.older import warn_of_older
from gpu_infer.results.own_input import check_own_input
from gpu_infer.results.page import required_page_places, write_page
from gpu_infer.results.places import output_places
from gpu_infer.results.preview import write_previews
from gpu_infer.results.publish import publish_results, published_places
from gpu_infer.results.scores import check_score_places, write_scores
from gpu_infer.results.statistics import write_label_statistics
from gpu_infer.segment import segment
from gpu_infer.settings import Settings
from gpu_infer.system.folder_variables import check_folder_variables
from gpu_infer.transforms.chain.pipeline import Pipeline
from gpu_infer.triton.client.reconnect import try_again
from gpu_infer.triton.transport import choose_transport, data_choices
from gpu_infer.volume.header import VolumeHeader
from gpu_infer.volume.input_files import check_exists
from gpu_infer.volume.open_input import open_input
from gpu_infer.volume.read import read_voxels
from gpu_infer.writers.atomic import check_folder
from gpu_infer.writers.collisions import check_folders, check_outputs
from gpu_infer.writers.output_folder import check_is_no_file

log = logging.getLogger(__name__)


@dataclass
class RunResult:
    """The files of a run and the content of its report.

    output      the first label map: its .mhd if it has one, else the file of its first format. In index space, which
                has no label maps, the first DICOM file, or the output folder if no label occurs
    raw         the voxels of the .mhd
    label_maps  the files of all label maps that programs open
    """

    output: Path
    raw: Path | None
    report: Path | None
    data: dict[str, Any]
    published: list[Path] = field(default_factory=list)
    previews: list[Path] = field(default_factory=list)
    label_maps: list[Path] = field(default_factory=list)
    page: Path | None = None
    dicom: list[Path] = field(default_factory=list)
    scores: list[Path] = field(default_factory=list)
    statistics: list[Path] = field(default_factory=list)


def run(settings: Settings, progress: ProgressCallback | None = None) -> RunResult:
    """Run the operator once: read a volume, segment it, write the label maps.

    Writes `<name>.mhd` and `<name>.raw`, or other formats, into the output folder (`<name>.<field>.*` for several
    fields), files for the publish folder if one is set, and report.json into the logs folder (also if the run fails).
    A failed run leaves no half-written file.

    Args:
        settings: Options of the run; see `Settings.from_environment`.
        progress: Receives an event at the begin and end of every stage, and after every batch of windows. Runs in
            this thread; an exception from it ends the run.

    Returns:
        The files, and the content of report.json (docs/report.md).

    Raises:
        GpuInferError: With an exit code and a message of one line that says what to do.
    """
    report = Report(progress or silent)
    try:
        with ExitStack() as stack:
            result = _run_stages(settings, report, stack)
        report.finish("done")
    except SystemExit as end:  # only code that the configuration names ends the process
        refusal = ConfigError(
            f"code that the configuration names called sys.exit({end.code!r})",
            remedy="a component raises an exception to fail",
        )
        report.finish("failed", str(refusal))
        _write_report(report, settings.logs)
        raise refusal from end
    except BaseException as error:
        report.finish("failed", str(error) if isinstance(error, GpuInferError) else repr(error))
        _write_report(report, settings.logs)
        raise
    result.report = _write_report(report, settings.logs)
    return result


def _run_stages(settings: Settings, report: Report, stack: ExitStack) -> RunResult:
    """All stages in order. `stack` holds what must be closed after the run, also after a failure."""
    for message in settings.warnings:
        report.warn(message)
    with report.stage("configure"):
        check_folder_variables(os.environ)
        config, pipeline = configure(settings)
        choices = data_choices(settings.data, settings.require)
        pending = stack.enter_context(begin_backend(settings.device))
        _check_paths(settings)
    report.add(config=config_section(config, settings.config))
    for message in config.warnings:
        report.warn(message)

    if not settings.server_first:
        header = _read_header(settings, config, pipeline, report, stack)
    with report.stage("connect"):
        server = connect(settings, config.inferer, stack, pending.raise_failure)
    if settings.server_first:
        header = _read_header(settings, config, pipeline, report, stack)
    inputs = RunInputs(settings, config, pipeline, header)
    with report.stage("read"):
        source = dicom_source(settings, header)

    with report.stage("device"):
        backend = pending.result()
        backend.start_run()  # the GPU's memory and kernels outlive a run, its counters do not
        name, version = model_name(config, settings), config.inferer.model_version or ""
        again = partial(try_again, server=server, model=name, version=version, wait_s=settings.ready_wait_s)
        transport = again(lambda: choose_transport(server, backend, choices))
    report.add(device=backend.name, triton=triton_section(transport))

    with report.stage("plan"):
        plan = again(lambda: plan_run(inputs, transport, backend))
        check_score_places(plan)
    report.add(triton=triton_section(transport))
    for line in pipeline.describe():
        log.info("%s", line)
    report.record_plan(plan)
    arena_bytes = plan.memory.device_arena_bytes
    backend.reserve(plan.memory.device_peak - arena_bytes, beside=arena_bytes)  # does nothing on the CPU

    with report.stage("read"):  # the voxels, for which the plan has memory
        volume = read_voxels(header, nan=pipeline.nan)
        report.hash_files(volume.files or (header.path,))
    report.add(input={"dtype": str(volume.dtype)})
    report.add_warnings(volume.warnings[len(header.warnings) :])

    segmentation = segment(plan, volume, transport, backend, report)
    facts = segmentation.facts
    report.add_facts(facts if header.index_space is None else without_places(facts))

    written = write_labels(segmentation, volume, report)
    if counters := gpu_section(backend, pipeline, segmentation.plan.memory):
        report.add(gpu=counters)

    statistics = write_label_statistics(segmentation, volume, report)
    published = publish_results(segmentation, volume, written, report)
    page = write_page(segmentation, volume, report)
    previews = write_previews(segmentation, volume, report)
    scores = write_scores(segmentation, volume.geometry, report)
    dicom = write_dicom(segmentation, volume, source, report)
    report.wait_for_hash()  # an unpacked archive is removed next
    first = written[config.outputs[0].field]
    output, *raw = first.get("mhd") or next(iter(first.values()), [*dicom[:1], settings.output][:1])
    label_maps = [paths[0] for by_format in written.values() for paths in by_format.values()]
    return RunResult(
        output,
        raw[0] if raw else None,
        None,
        report.data,
        published=published,
        previews=previews,
        label_maps=label_maps,
        page=page,
        scores=scores,
        dicom=dicom,
        statistics=statistics,
    )


def configure(settings: Settings) -> tuple[Config, Pipeline]:
    """Load the configuration, and refuse options that contradict it before anything waits for a server.

    Raises ConfigError.
    """
    config = load_config(settings.config, os.environ, settings.labels)
    config.inferer.check_options(
        mode=settings.mode, roi_size=settings.roi_size, batch_size=settings.batch_size, slots=settings.slots
    )
    check_one_file(settings, config)
    check_dicom_options(settings, config)
    pipeline = config.pipeline()
    score_options(settings, config, pipeline)
    return config, pipeline


def _check_paths(settings: Settings) -> None:
    """Refuse folders that cannot be used."""
    for option, folder in (("--publish", settings.publish), ("--logs", settings.logs)):
        if folder is not None:
            check_is_no_file(folder, option)
    check_folders(settings.output, settings.publish)
    check_exists(settings.input)
    _make_folder(settings.output)


def _read_header(
    settings: Settings, config: Config, pipeline: Pipeline, report: Report, stack: ExitStack
) -> VolumeHeader:
    """The header of the input, without voxels. `stack` closes the input."""
    with report.stage("read"):
        header = stack.enter_context(open_input(settings.input, input_options(settings, config, pipeline)))
        for message in check_own_input(settings, pipeline, header):
            report.warn(message)
        _check_header(settings, config, header, report)
    return header


def _check_header(settings: Settings, config: Config, header: VolumeHeader, report: Report) -> None:
    """Record the input, and refuse it if its voxels do not fit into memory or an output would replace it."""
    report.add(input=input_section(header, with_identity=settings.with_identity))
    report.add_warnings(header.warnings)  # `read_header` has logged them with the file's name
    check_stored(header.nbytes + header.extra, header.path)
    check_index_space(settings, header)
    for message in check_grid(settings, config, header):
        report.warn(message)
    for message in warn_of_older(settings, config, header):
        report.warn(message)
    check_all_places(settings, config, header)


def check_all_places(settings: Settings, config: Config, header: VolumeHeader) -> None:
    """Raise ConfigError if an output would replace the input, another output or a file of another program."""
    places = output_places(settings, config, header)
    published = published_places(settings, config, header) + required_page_places(settings)
    check_outputs(header.files or (header.path,), settings.output, places, settings.publish, published)


def _write_report(report: Report, folder: Path) -> Path | None:
    try:
        return report.write(folder)
    except OSError as error:
        log.warning("report.json could not be written to %s: %s", folder, error)
        return None


def _make_folder(folder: Path) -> None:
    """Create the output folder if it is missing, and check before any work that files can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{folder}: cannot be made: {error.strerror}", remedy="give an output folder that this user may write to"
        ) from error
    check_folder(folder)
