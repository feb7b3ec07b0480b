"""What `validate` prints: the pipeline as it will run, with shapes and peak memory, without a server."""

from __future__ import annotations

import os
from pathlib import Path

from gpu_infer.config.config import Config
from gpu_infer.config.load import load_config
from gpu_infer.errors import ConfigError, ModelError
from gpu_infer.planning.fallbacks import GIB
from gpu_infer.planning.memory_plan import Room
from gpu_infer.planning.run_plan import settle
from gpu_infer.redaction import redact
from gpu_infer.settings import Settings
from gpu_infer.system.resources import resource_folder
from gpu_infer.transforms.chain.pipeline import Pipeline
from gpu_infer.triton.model.info import ModelInfo
from gpu_infer.triton.model.repository import model_in_repository
from gpu_infer.volume.channels import choose_files
from gpu_infer.volume.header import VolumeHeader
from gpu_infer.volume.read import read_header


def plan(settings: Settings, volume_path: Path | None, models: Path | None = None) -> list[str]:
    """Lines that say how the configuration will run, without values of `{VAR}`; for a volume, also every stage's
    shape and the peak memory.

    models  model repository that must hold the model; None: the packaged one. Where that does not hold it,
            windows and memory are left to the run, and a line says so.

    Raises ConfigError, InputError or ModelError for what is wrong.
    """
    return [redact(line) for line in _plan(settings, volume_path, models)]


def _plan(settings: Settings, volume_path: Path | None, models: Path | None = None) -> list[str]:
    config = load_config(settings.config, os.environ)
    config.inferer.check_options(
        mode=settings.mode, roi_size=settings.roi_size, batch_size=settings.batch_size, slots=settings.slots
    )
    pipeline = config.pipeline()
    warnings = (*settings.warnings, *config.warnings)
    lines = [*pipeline.describe(), *(f"warning: {message}" for message in warnings)]
    name = settings.model_name or config.inferer.model_name
    if name is None:
        lines.append(f"warning: {config.path}: inferer.args.model_name is missing: the run needs --model")
    model = _model(config, settings, name, models)
    if volume_path is None:
        return lines
    volume = read_header(
        choose_files(volume_path, pipeline.input_files), allow_foreign=settings.allow_foreign_data_files
    )
    lines += [f"warning: {message}" for message in volume.warnings]
    lines += _shapes(pipeline, volume, model)
    if name is None:
        return lines
    if model is None:
        return [*lines, f"model {name}: no config.pbtxt at hand (--models), so windows and peak memory are not known"]
    job = settle(config, pipeline, settings, volume, model, _room(settings))
    lines += job.lines()
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if job.load.peak > machine:
        lines.append(
            f"warning: the peak is {job.load.peak / GIB:.1f} GiB, this machine has {machine / GIB:.1f} GiB: "
            "check the target and the spacing in the file"
        )
    if pipeline.grid_decided_by_voxels:
        lines.append("the grid is decided by voxel values: shapes, windows and memory are upper bounds")
    if job.fit.channels_out == -1:
        lines.append("classes are dynamic: memory is counted for 1 class, the run asks the model")
    return lines


def _room(settings: Settings) -> Room:
    """Where a run would hold its arrays, by the options alone: no device is asked, nothing is limited."""
    gpu = settings.device == "gpu"
    data = settings.require or settings.data
    return Room(gpu=gpu, device_slots=gpu and data in ("auto", "cuda_shm"))


def _model(config: Config, settings: Settings, name: str | None, models: Path | None) -> ModelInfo | None:
    if models is not None and not models.is_dir():
        raise ConfigError(
            f"--models: no folder {models}",
            remedy="give the model repository, the folder that holds one folder per model",
        )
    if name is None:
        return None
    found = model_in_repository(
        models or resource_folder("models"),
        name,
        config.inferer.model_version or "",
        input_name=config.inferer.input_name,
        output_name=config.inferer.output_name,
        batch=settings.batch_size or config.inferer.batch_size,
    )
    if found is None and models is not None:
        held = ", ".join(sorted(path.parent.name for path in models.glob("*/config.pbtxt"))) or "none"
        raise ModelError(
            f"model {name}: no {models / name / 'config.pbtxt'}", remedy=f"models with one in this folder: {held}"
        )
    return found


def _shapes(pipeline: Pipeline, volume: VolumeHeader, model: ModelInfo | None) -> list[str]:
    dtype = model.input.dtype if model is not None else "float32"
    trace = pipeline.trace(volume.channels, volume.geometry, volume.dtype, dtype)
    return [
        f"{stage.line}: {_by(stage.shape_in)} {stage.dtype_in} -> {_by(stage.shape_out)} {stage.dtype_out}"
        for stage in trace.stages
    ]


def _by(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))
