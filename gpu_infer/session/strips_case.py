"""A run whose volume and labels are never whole in memory."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from gpu_infer.backends.base.backend import Backend
from gpu_infer.planning.run_plan import RunPlan
from gpu_infer.report import Report, gpu_section
from gpu_infer.results.label_maps import label_map_formats, output_base, write_labels
from gpu_infer.segment import Segmentation
from gpu_infer.segment_strips import segment_strips, volume_without_voxels
from gpu_infer.session.result import RunResult
from gpu_infer.session.shared import Shared
from gpu_infer.session.turns import reserve_memory, take_turn
from gpu_infer.triton.transport import Transport
from gpu_infer.writers.atomic import check_space, open_stage, still_there
from gpu_infer.writers.formats.registry import FORMATS
from gpu_infer.writers.label_file import LabelFile
from gpu_infer.writers.label_maps import least_label_map_bytes

log = logging.getLogger(__name__)

_FILE = "labels"


def run_in_strips(shared: Shared, plan: RunPlan, transport: Transport, backend: Backend, report: Report) -> RunResult:
    """Segment and write, strip by strip. Call it in the run's turn on the reader; it takes the other turns.

    A run that returned its turn on the reader could wait for it forever: the next run holds it while it waits for the
    memory of this one.
    """
    inputs = plan.inputs
    header, settings, (output,) = inputs.header, inputs.settings, inputs.config.outputs
    report.hash_input(header)
    report.add(input={"dtype": str(header.dtype)})
    dtype = np.dtype(output.dtype)
    base = output_base(settings, header)
    with take_turn(shared.device, report), take_turn(shared.writing, report):
        reserve_memory(shared, plan, backend)
        with (
            still_there(settings.output),
            open_stage(settings.output, base) as stage,
            LabelFile(stage / _FILE, header.geometry.shape, dtype) as labels,
        ):
            as_voxels: Any = labels  # every format that strips allow reads it slice by slice
            formats = label_map_formats(settings, output, header)
            beside = least_label_map_bytes((FORMATS[each], as_voxels) for each in formats)
            check_space(settings.output, labels.nbytes + beside)
            counts, plan = segment_strips(plan, transport, backend, report, shared.rings, labels)
            if counters := gpu_section(backend, inputs.pipeline, plan.memory):
                report.add(gpu=counters)
            segmentation = Segmentation({output.field: as_voxels}, {output.field: counts}, {}, plan)
            written = write_labels(segmentation, volume_without_voxels(header), report)
    (by_format,) = written.values()
    first, *raw = by_format.get("mhd") or next(iter(by_format.values()))
    return RunResult(
        first,
        raw[0] if raw else None,
        None,
        report.data,
        label_maps=[paths[0] for paths in by_format.values()],
    )
