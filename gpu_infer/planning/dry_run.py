"""Dry run for `validate`: the pipeline with shapes, windows and peak memory, without a server."""

from __future__ import annotations

import os
from pathlib import Path

from gpu_infer.config.config import Config
from gpu_infer.config.load import load_config
from gpu_infer.errors import ModelError
from gpu_infer.planning.fallbacks import GIB
from gpu_infer.planning.memory_plan import Placement
from gpu_infer.planning.run_inputs import RunInputs, input_options
from gpu_infer.planning.run_plan import make_plan
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
    config = load_config(settings.config, os.environ, settings.labels, settings.model_name)
    config.inferer.check_options(
        mode=settings.mode,
        roi_size=settings.roi_size,
        batch_size=settings.batch_size,
        slots=settings.slots,
        slab=settings.slab,
    )
    pipeline = config.pipeline()
    warnings = (*settings.warnings, *config.warnings)
    lines = [*pipeline.describe(), *(f"warning: {message}" for message in warnings)]
    name = settings.model_name or config.inferer.model_name
    if name is None:
        lines.append(f"warning: {config.path}: inferer.args.model_name is missing: the run needs --model")
    model = _find_model(config, settings, name, models)
    if volume_path is None:
        return lines
    with open_input(volume_path, input_options(settings, config, pipeline)) as header:
        inputs = RunInputs(settings, config, pipeline, header)
    lines += [f"warning: {message}" for message in header.warnings]
    lines += _shape_lines(inputs, model)
    if name is None:
        return lines
    if model is None:
        return [*lines, f"model {name}: no config.pbtxt at hand (--models), so windows and peak memory are not known"]
    return lines + _plan_lines(inputs, model)


def _plan_lines(inputs: RunInputs, model: ModelInfo) -> list[str]:
    """Windows and memory, with warnings about a peak beyond this machine and about bounds that only a run narrows."""
    run_plan = make_plan(inputs, model, placement=_placement(inputs.settings))
    lines = run_plan.lines()
    peak, machine = run_plan.memory.host_peak, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if peak > machine:
        lines.append(
            f"warning: the peak is {peak / GIB:.1f} GiB, this machine has {machine / GIB:.1f} GiB: "
            "check the target and the spacing in the file"
        )
    if inputs.pipeline.grid_decided_by_voxels:
        lines.append("the grid is decided by voxel values: shapes, windows and memory are upper bounds")
    if run_plan.fit.channels_out == -1:
        lines.append("classes are dynamic: memory is counted for 1 class, the run asks the model")
    return lines


def _placement(settings: Settings) -> Placement:
    """Placement of a run's arrays by the options alone; no device is examined."""
    gpu = settings.device == "gpu"
    data = settings.require or settings.data
    return Placement(gpu=gpu, device_slots=gpu and data in ("auto", "cuda_shm"))


def _find_model(config: Config, settings: Settings, name: str | None, models: Path | None) -> ModelInfo | None:
    """The model as its repository describes it; None if it has no name, or the packaged repository lacks it."""
    if models is not None and not models.is_dir():
        raise no_repository(models)
    if name is None:
        return None
    model = model_in_repository(
        models or resource_folder("models"),
        name,
        config.inferer.model_version or "",
        input_name=config.inferer.input_name,
        output_name=config.inferer.output_name,
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
