"""One run: a volume in, a segmentation out. `run_case` is the order of the stages."""

from __future__ import annotations

import logging
import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

from gpu_infer.backends.base.backend import Backend
from gpu_infer.backends.base.upload import Upload
from gpu_infer.planning.run_inputs import RunInputs
from gpu_infer.planning.run_plan import RunPlan
from gpu_infer.report import Report, config_section, gpu_section, triton_section
from gpu_infer.results.dicom import dicom_source, write_dicom
from gpu_infer.results.index_space import without_places
from gpu_infer.results.label_maps import write_labels
from gpu_infer.results.own_writers import write_own
from gpu_infer.results.page import write_page
from gpu_infer.results.preview import write_previews
from gpu_infer.results.publish import publish_results
from gpu_infer.results.scores import check_score_places, write_scores
from gpu_infer.results.statistics import write_label_statistics
from gpu_infer.segment import Segmentation, segment
from gpu_infer.session.checks import check_paths, read_checked_header
from gpu_infer.session.result import RunResult
from gpu_infer.session.shared import Shared
from gpu_infer.session.strips_case import run_in_strips
from gpu_infer.session.turns import begin_upload, reserve_memory, take_turn
from gpu_infer.settings import Settings
from gpu_infer.system.folder_variables import check_folder_variables
from gpu_infer.triton.transport import Transport
from gpu_infer.volume.follower import NO_FOLLOWER
from gpu_infer.volume.read import read_voxels
from gpu_infer.volume.volume import Volume

if TYPE_CHECKING:
    from gpu_infer.writers.dicom.source import Source

log = logging.getLogger(__name__)


def run_case(shared: Shared, settings: Settings, report: Report, stack: ExitStack) -> RunResult:
    """All stages of a run in order. `stack` closes the input after the run, also after a failure.

    The run takes its turn on the reader, on the backend and on the writer; between two turns, other runs take theirs.
    On a GPU that is free, its turn there begins before it reads, so that voxels are uploaded while others are read.
    """
    for message in settings.warnings:
        report.warn(message)
    with ExitStack() as turn:
        with take_turn(shared.reading, report):
            inputs, source = _prepare(shared, settings, report, stack)
            with report.stage("device"):
                backend = shared.backend()
                transport = shared.transport()
            report.add(device=backend.name, triton=triton_section(transport))
            plan = _plan(shared, inputs, transport, report)
            stack.enter_context(shared.memory.admit(plan.memory, shared.host_limit))
            if plan.strips is not None:
                result = run_in_strips(shared, plan, transport, backend, report)
                report.wait_for_hash()
                return result
            with shared.load_ahead(inputs, plan, turn):
                upload = begin_upload(shared, plan, backend, turn)
                volume = _read(inputs, report, upload)
        if upload is None:
            turn.enter_context(take_turn(shared.device, report))
            reserve_memory(shared, plan, backend)
        segmentation = _segment(shared, plan, volume, transport, backend, report, upload)
        if segmentation.scores is None:
            turn.close()  # maps of scores are on the backend until they are written
        turn.enter_context(take_turn(shared.writing, report))
        result = _write(segmentation, volume, source, backend, report)
    report.wait_for_hash()  # an unpacked archive is removed next
    return result


def _read(inputs: RunInputs, report: Report, upload: Upload | None) -> Volume:
    """The voxels, for which the plan has memory."""
    with report.stage("read"):
        header = inputs.header
        volume = read_voxels(header, nan=inputs.pipeline.nan, follower=upload or NO_FOLLOWER)
        report.hash_input(header)
    report.add(input={"dtype": str(volume.dtype)})
    report.add_warnings(volume.warnings[len(header.warnings) :])
    return volume


def _prepare(shared: Shared, settings: Settings, report: Report, stack: ExitStack) -> tuple[RunInputs, Source | None]:
    """Configuration, server and header: what a run needs for its plan."""
    with report.stage("configure"):
        check_folder_variables(os.environ)
        config, pipeline = shared.configuration(settings)
        check_paths(settings)
    report.add(config=config_section(config, settings.config))
    for message in config.warnings:
        report.warn(message)

    if not settings.server_first:
        header = read_checked_header(settings, config, pipeline, report, stack)
    with report.stage("connect"):
        shared.server()
    if settings.server_first:
        header = read_checked_header(settings, config, pipeline, report, stack)
    with report.stage("read"):
        source = dicom_source(settings, header)
    return RunInputs(settings, config, pipeline, header, shared.clients), source


def _plan(shared: Shared, inputs: RunInputs, transport: Transport, report: Report) -> RunPlan:
    with report.stage("plan"):
        plan = shared.plan(inputs)
        check_score_places(plan)
    report.add(triton=triton_section(transport))
    for line in inputs.pipeline.describe():
        log.info("%s", line)
    report.record_plan(plan)
    return plan


def _segment(
    shared: Shared,
    plan: RunPlan,
    volume: Volume,
    transport: Transport,
    backend: Backend,
    report: Report,
    upload: Upload | None,
) -> Segmentation:
    segmentation = segment(plan, volume, transport, backend, report, shared.rings, upload)
    in_space = plan.inputs.header.index_space is None
    report.add_facts(segmentation.facts if in_space else without_places(segmentation.facts))
    if counters := gpu_section(backend, plan.inputs.pipeline, segmentation.plan.memory):
        report.add(gpu=counters)
    return segmentation


def _write(
    segmentation: Segmentation, volume: Volume, source: Source | None, backend: Backend, report: Report
) -> RunResult:
    written = write_labels(segmentation, volume, report)
    statistics = write_label_statistics(segmentation, volume, report)
    published = publish_results(segmentation, volume, written, report)
    page = write_page(segmentation, volume, report)
    previews = write_previews(segmentation, volume, report)
    scores = write_scores(segmentation, volume.geometry, report)
    dicom = write_dicom(segmentation, volume, source, report)
    settings = segmentation.plan.inputs.settings
    own = write_own(segmentation, volume, report)
    first = written[segmentation.plan.inputs.config.outputs[0].field]
    output, *raw = first.get("mhd") or next(iter(first.values()), [*dicom[:1], settings.output][:1])
    return RunResult(
        output,
        raw[0] if raw else None,
        None,
        report.data,
        published=published,
        previews=previews,
        label_maps=[paths[0] for by_format in written.values() for paths in by_format.values()],
        page=page,
        scores=scores,
        dicom=dicom,
        statistics=statistics,
        own=own,
    )
