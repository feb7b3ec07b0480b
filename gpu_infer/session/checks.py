"""What a run checks before it waits for a server: options, folders, the input and its outputs."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from gpu_infer.config.config import Config
from gpu_infer.errors import ConfigError
from gpu_infer.planning.configuration import load_for_run
from gpu_infer.planning.run_inputs import RunInputs, input_options
from gpu_infer.planning.score_options import score_options
from gpu_infer.planning.volume_choice import check_whole
from gpu_infer.report import Report, input_section
from gpu_infer.results.dicom import check_dicom_options
from gpu_infer.results.index_space import check_index_space
from gpu_infer.results.label_maps import check_grid, check_one_file, output_base
from gpu_infer.results.older import warn_of_older
from gpu_infer.results.page import required_page_places
from gpu_infer.results.places import output_places
from gpu_infer.results.publish import published_places
from gpu_infer.settings import Settings
from gpu_infer.transforms.chain.pipeline import Pipeline
from gpu_infer.volume.header import VolumeHeader
from gpu_infer.volume.input_files import check_exists
from gpu_infer.volume.open_input import open_input
from gpu_infer.writers.atomic import check_folder
from gpu_infer.writers.collisions import check_folders, check_outputs
from gpu_infer.writers.output_folder import check_is_no_file


def configure(settings: Settings) -> tuple[Config, Pipeline]:
    """Load the configuration, and refuse options that contradict it before anything waits for a server.

    Raises ConfigError.
    """
    config = load_for_run(settings)
    pipeline = config.pipeline()
    check_options(settings, config, pipeline)
    return config, pipeline


def check_options(settings: Settings, config: Config, pipeline: Pipeline) -> None:
    """Raise ConfigError for options of outputs that contradict each other or the configuration."""
    check_one_file(settings, config)
    check_dicom_options(settings, config)
    score_options(settings, config, pipeline)


def check_paths(settings: Settings) -> None:
    """Refuse folders that cannot be used, and create the output folder."""
    for option, folder in (("--publish", settings.publish), ("--logs", settings.logs)):
        if folder is not None:
            check_is_no_file(folder, option)
    check_folders(settings.output, settings.publish)
    check_exists(settings.input)
    _make_folder(settings.output)


def read_checked_header(
    settings: Settings, config: Config, pipeline: Pipeline, report: Report, stack: ExitStack
) -> VolumeHeader:
    """The header of the input, without voxels. `stack` closes the input."""
    with report.stage("read"):
        header = stack.enter_context(open_input(settings.input, input_options(settings, config, pipeline)))
        _check_header(settings, config, pipeline, header, report)
    return header


def _check_header(settings: Settings, config: Config, pipeline: Pipeline, header: VolumeHeader, report: Report) -> None:
    """Record the input, and refuse it if its voxels do not fit into memory or an output would replace it."""
    report.add(case=output_base(settings, header), input=input_section(header, with_identity=settings.with_identity))
    report.add_warnings(header.warnings)  # `read_header` has logged them with the file's name
    check_whole(RunInputs(settings, config, pipeline, header))
    check_index_space(settings, header, len(config.own_writers))
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


def _make_folder(folder: Path) -> None:
    """Create the output folder if it is missing, and check before any work that files can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{folder}: cannot be made: {error.strerror}", remedy="give an output folder that this user may write to"
        ) from error
    check_folder(folder)
