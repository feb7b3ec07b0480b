"""Dry run for `validate`: the pipeline with shapes, windows and peak memory, without a server."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from gpu_infer.backends.filters import ON_CPU
from gpu_infer.config.config import Config
from gpu_infer.config.model_entries import ModelEntry, describe_models
from gpu_infer.errors import ModelError, ResourceError
from gpu_infer.planning.configuration import load_for_run
from gpu_infer.planning.fallbacks import GIB
from gpu_infer.planning.filter_places import host_filter_lines, places_on_gpu
from gpu_infer.planning.free_memory import FreeMemory, resident_bytes
from gpu_infer.planning.memory_plan import Placement
from gpu_infer.planning.run_inputs import RunInputs, input_options, model_entries
from gpu_infer.planning.run_plan import RunPlan, make_plan
from gpu_infer.planning.strips import strips_refusal, window_refusal
from gpu_infer.planning.volume_choice import whole_reason
from gpu_infer.redaction import redact
from gpu_infer.settings import Settings
from gpu_infer.settings_sources import no_repository
from gpu_infer.system.resources import resource_folder
from gpu_infer.triton.model.info import ModelInfo
from gpu_infer.triton.model.repository import model_in_repository
from gpu_infer.volume.geometry import format_shape
from gpu_infer.volume.open_input import open_input


def plan(settings: Settings, volume_path: Path | None, models: Path | None = None) -> list[str]:
    """Describe how the configuration will run, without values of `{VAR}`.

    For a volume the lines include every stage's shape, the windows and the peak memory.

    Args:
        settings: Options of the run; input and output are not used.
        volume_path: File or folder of a volume; only its header is read.
        models: Model repository that must contain the model. None: the packaged one; if that does not contain the
            model, the lines say that windows and memory are not known.

    Raises:
        ConfigError, InputError, ModelError: What a run would refuse without a server.
    """
    return [redact(line) for line in _plan(settings, volume_path, models)]


def _plan(settings: Settings, volume_path: Path | None, models: Path | None) -> list[str]:
    config = load_for_run(settings)
    pipeline = config.pipeline()
    warnings = (*settings.warnings, *config.warnings)
    places = places_on_gpu(pipeline) if settings.device == "gpu" else ON_CPU
    warnings = (*warnings, *host_filter_lines(pipeline, places))
    several = describe_models(config.inferer.entries, config.inferer.combine)
    lines = [*pipeline.describe(), *several, *(f"warning: {message}" for message in warnings)]
    has_name = settings.model_name is not None or bool(config.inferer.entries)
    if not has_name:
        lines.append(f"warning: {config.path}: inferer.args.model_name is missing: the run needs --model")
    if models is not None and not models.is_dir():
        raise no_repository(models)
    entries = model_entries(config, settings) if has_name else ()
    infos = [_find_model(config, settings, entry, models) for entry in entries]
    if volume_path is None:
        return lines
    with open_input(volume_path, input_options(settings, config, pipeline)) as header:
        inputs = RunInputs(settings, config, pipeline, header, places=places)
    lines += [f"warning: {message}" for message in header.warnings]
    known = [info for info in infos if info is not None]
    lines += _shape_lines(inputs, known[0] if known else None)
    if len(known) == len(entries):
        return lines + _plan_lines(inputs, known) if known else lines
    missing = ", ".join(entry.model_name for entry, info in zip(entries, infos, strict=True) if info is None)
    return [*lines, f"model {missing}: no config.pbtxt at hand (--models), so windows and peak memory are not known"]


def _plan_lines(inputs: RunInputs, models: Sequence[ModelInfo]) -> list[str]:
    """Windows and memory, with warnings about a peak beyond this machine and about bounds that only a run narrows."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    run_plan = _run_plan(inputs, models, machine)
    lines = [*([] if run_plan.strips is None else run_plan.fallbacks), *run_plan.lines()]
    peak = run_plan.memory.host_peak
    if peak > machine:
        lines.append(
            f"warning: the peak is {peak / GIB:.1f} GiB, this machine has {machine / GIB:.1f} GiB{_reason(run_plan)}: "
            "check the target and the spacing in the file"
        )
    if inputs.pipeline.grid_decided_by_voxels:
        lines.append("the grid is decided by voxel values: shapes, windows and memory are upper bounds")
    if run_plan.fit.channels_out == -1:
        lines.append("classes are dynamic: memory is counted for 1 class, the run asks the model")
    return lines


def _reason(plan: RunPlan) -> str:
    """Why a large volume is not planned strip by strip."""
    return whole_reason(plan.inputs, strips_refusal(plan.inputs) or window_refusal(plan.grid, plan.fit))


def _run_plan(inputs: RunInputs, models: Sequence[ModelInfo], machine: int) -> RunPlan:
    """The plan without a limit of memory, or that of strips if the volume does not fit into this machine."""
    placement = _placement(inputs.settings)
    run_plan = make_plan(inputs, models[0], placement=placement, further=models[1:])
    if run_plan.memory.host_peak > machine:
        try:
            in_strips = make_plan(
                inputs, models[0], FreeMemory(host=machine - resident_bytes()), placement, further=models[1:]
            )
        except ResourceError:
            return run_plan
        if in_strips.strips is not None:
            return in_strips
    return run_plan


def _placement(settings: Settings) -> Placement:
    """Placement of a run's arrays by the options alone; no device is examined."""
    gpu = settings.device == "gpu"
    data = settings.require or settings.data
    return Placement(gpu=gpu, device_slots=gpu and data in ("auto", "cuda_shm"))


def _find_model(config: Config, settings: Settings, entry: ModelEntry, models: Path | None) -> ModelInfo | None:
    """A model as its repository describes it; None if the packaged repository lacks it."""
    name = entry.model_name
    model = model_in_repository(
        models or resource_folder("models"),
        name,
        entry.model_version or "",
        input_name=entry.input_name,
        output_name=entry.output_name,
        batch=settings.batch_size or config.inferer.batch_size,
        slices=config.inferer.takes_slices,
    )
    if model is None and models is not None:
        others = ", ".join(sorted(path.parent.name for path in models.glob("*/config.pbtxt"))) or "none"
        raise ModelError(
            f"model {name}: no {models / name / 'config.pbtxt'}", remedy=f"models with one in this folder: {others}"
        )
    return model


def _shape_lines(inputs: RunInputs, model: ModelInfo | None) -> list[str]:
    trace = inputs.trace(model.input.dtype if model is not None else "float32")
    return [
        f"{stage.line}: {format_shape(stage.shape_in)} {stage.dtype_in} -> "
        f"{format_shape(stage.shape_out)} {stage.dtype_out}"
        for stage in trace.stages
    ]
