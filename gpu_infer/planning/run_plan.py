"""One run, settled before it starts: model, window grid, batch, slots and memory."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gpu_infer.backends.base.backend import Backend
from gpu_infer.backends.labels import label_dtype
from gpu_infer.config.config import Config
from gpu_infer.errors import ConfigError, ResourceError
from gpu_infer.inferers.accumulator import accumulator_shape
from gpu_infer.inferers.model_fit import Fit, fit_model
from gpu_infer.inferers.modes import WindowMode
from gpu_infer.inferers.windows import WindowGrid, make_grid
from gpu_infer.planning.fallbacks import GIB, degrade
from gpu_infer.planning.memory_plan import INLINE_COPIES, KERNELS, STAGING, Load, Room, resident_bytes
from gpu_infer.settings import Settings
from gpu_infer.system.host_memory import free_host_bytes
from gpu_infer.transforms.chain.pipeline import Pipeline
from gpu_infer.transforms.chain.trace import Trace
from gpu_infer.triton.model.info import ModelInfo
from gpu_infer.triton.ring import probe_output_channels
from gpu_infer.triton.transport import Transport
from gpu_infer.volume.geometry import Shape3
from gpu_infer.volume.header import VolumeHeader

SLOTS = 2
"""Requests in flight where nobody says: one computes while the other is filled and blended."""


@dataclass(frozen=True)
class Job:
    """`load` carries the batch, slots and slab that memory allows; `steps` names what was given up for it."""

    model: ModelInfo
    fit: Fit
    mode: WindowMode
    grid: WindowGrid
    load: Load
    channels_last: bool
    steps: list[str]

    def lines(self) -> list[str]:
        distinct, windows = self.grid.distinct_count, self.grid.window_count
        repeated = "" if distinct == windows else f" ({windows} with repeats)"
        return [
            f"model {self.model.name} version {self.model.version}: {self.fit.channels_in} → "
            f"{self.fit.channels_out} channels, {self.model.input.datatype}",
            f"{distinct} windows{repeated} of {_by(self.fit.window)} over {_by(self.grid.shape)}, "
            f"mode {self.grid.mode}{self._how()}, batch {self.load.batch}, {self.load.slots} slots",
            *self.load.lines(),
        ]

    def _how(self) -> str:
        weights = f", {self.mode.blend} weights" if self.mode.blend != "constant" else ""
        return weights + (f", mirrored in {n} combinations" if (n := len(self.grid.mirrors)) > 1 else "")


def plan_job(
    config: Config,
    pipeline: Pipeline,
    settings: Settings,
    volume: VolumeHeader,
    transport: Transport,
    backend: Backend,
) -> Job:
    """Ask the server for the model and settle everything; raises ModelError, ConfigError or ResourceError.

    Where /dev/shm has no space for the slots, `transport` steps down here: the plan then counts what requests hold.
    """
    inferer = config.inferer
    name = model_name(config, settings)
    model = transport.server.model(
        name,
        inferer.model_version or "",
        input_name=inferer.input_name,
        output_name=inferer.output_name,
        batch=settings.batch_size or inferer.batch_size,
        wait_s=settings.wait_s,
        load=settings.load_model,
    )
    room = room_of(backend, transport.control, transport.data)
    job, channels = settle(config, pipeline, settings, volume, model, room), None
    if job.fit.channels_out == -1:
        channels = probe_output_channels(
            transport,
            model,
            job.fit.window,
            job.fit.channels_in,
            channels_last=job.channels_last,
            deadline_s=settings.deadline_s,
        )
        job = settle(config, pipeline, settings, volume, model, room, channels_out=channels)
    transport.make_room(job.load.arena)
    now = room_of(backend, transport.control, transport.data)
    if now.copies != room.copies:
        job = settle(config, pipeline, settings, volume, model, now, channels_out=channels)
    return job


def replanned(job: Job, transport: Transport, backend: Backend) -> Job:
    """`job` itself, or with another load where `transport` has stepped down since it was planned.

    Slots then lie on the host, and inline requests hold them once more; the GPU holds less. `steps` are the new ones.
    Raises ResourceError where the host's memory does not suffice.
    """
    room = room_of(backend, transport.control, transport.data)
    if (room.copies, room.device_slots) == (job.load.copies, job.load.device_slots):
        return job
    load = replace(job.load, copies=room.copies, device_slots=room.device_slots)
    # what the GPU holds by now is no longer free, and the plan for it had more in it
    load, steps = degrade(load, None if room.host is None else room.host + resident_bytes())
    return replace(job, load=load, steps=steps)


def check_stored(nbytes: int, path: Path) -> None:
    """Raise ResourceError if the voxels alone, `nbytes`, do not fit what the host has free."""
    free = free_host_bytes()
    if nbytes > free:
        raise ResourceError(
            f"{path}: its voxels take {nbytes / 2**20:.1f} MiB, {free / 2**20:.1f} MiB of memory are free",
            remedy="give the process more memory (a container's limit), or crop the volume",
        )


def room_of(backend: Backend, control: str = "grpc", data: str | None = None) -> Room:
    """What is free now for a run on `backend`, with voxels that travel by `data` (None: the best that it can)."""
    gpu = backend.name == "gpu"
    return Room(
        host=free_host_bytes() if gpu else backend.free_bytes(),
        device=backend.free_bytes() if gpu else None,
        gpu=gpu,
        device_slots=gpu and data in (None, "cuda_shm"),
        copies=INLINE_COPIES[control] if data == "inline" else 0,
    )


def model_name(config: Config, settings: Settings) -> str:
    """The model asked for; ConfigError where neither the options nor the configuration name one."""
    name = settings.model_name or config.inferer.model_name
    if name is None:
        raise ConfigError(f"{config.path.name}: inferer.args.model_name is missing", remedy="set it, or pass --model")
    return name


def settle(
    config: Config,
    pipeline: Pipeline,
    settings: Settings,
    volume: VolumeHeader,
    model: ModelInfo,
    room: Room | None,
    *,
    channels_out: int | None = None,
    shape: Shape3 | None = None,
) -> Job:
    """The job for a known model, without touching a voxel or a server.

    room   where arrays lie and what is free there; None: on the host, not limited
    shape  of the model's grid, where voxels decided it; None: as traced
    """
    room = room or Room()
    inferer = config.inferer
    trace = pipeline.trace(volume.channels, volume.geometry, volume.dtype)
    shape, channels = shape or trace.model_shape, trace.model_channels
    simple = inferer.kind == "simple"
    fit = fit_model(
        model,
        channels=channels,
        shape=shape,
        channels_last=trace.channels_last,
        whole_volume=simple,
        roi_size=settings.roi_size or inferer.roi_size,
        batch_size=settings.batch_size or inferer.batch_size,
    )
    if channels_out is not None:
        fit = Fit(fit.window, fit.batch, fit.channels_in, channels_out)
    _check_free(volume, shape, trace, room)
    mode = inferer.window_mode(settings.mode)
    grid = make_grid(shape, fit.window, mode)
    gaussian = mode.blend != "constant"
    classes = max(fit.channels_out, 1)
    if fit.channels_out > 0:
        trace = pipeline.trace(volume.channels, volume.geometry, volume.dtype, model.input.dtype, fit.channels_out)
    visits = grid.distinct_count * len(grid.mirrors)
    batch = min(fit.batch, visits)
    summed = classes + (gaussian and pipeline.finalizer != "argmax")  # the weights' sums are one channel more
    computed = len(config.outputs) * _bytes(volume.geometry.shape, label_dtype(classes))
    load = Load(
        stored=volume.nbytes,
        prepared=_bytes((channels, *shape), model.input.dtype) + trace.kept_bytes,
        tile=_bytes((channels, *fit.window), model.input.dtype) + _bytes((classes, *fit.window), model.output.dtype),
        accumulator=_bytes(accumulator_shape(grid, summed, True), np.float32),
        full_accumulator=_bytes(accumulator_shape(grid, summed, False), np.float32),
        result=_result_bytes(pipeline, classes, shape),
        output=computed + sum(_bytes(volume.geometry.shape, output.dtype) for output in config.outputs),
        computed=computed,
        slots=min(settings.slots or inferer.slots or SLOTS, -(-visits // batch)),
        batch=batch,
        slab=settings.slab,
        copies=room.copies,
        full_batch=model.max_batch if model.fixed_batch else 0,
        gpu=room.gpu,
        device_slots=room.device_slots,
        spare=True,
        chains=max(trace.peak_bytes, volume.extra),  # voxels are read before the first transform
        importance=_bytes(fit.window, np.float32) if gaussian else 0,
        program=max(resident_bytes() - volume.held, 0) + KERNELS + (STAGING if room.gpu else 0) + grid.list_bytes,
    )
    # interpreter and libraries are in memory already
    host = None if room.host is None else room.host + resident_bytes()
    try:
        load, steps = degrade(load, host, room.device)
    except ResourceError as error:  # a wrong spacing in the file shows in the grid
        raise ResourceError(
            f"{volume.path}: {_by(volume.geometry.shape)} becomes {_by(shape)} for the model: {error.message}",
            remedy=error.remedy,
        ) from None
    return Job(model, fit, mode, grid, load, trace.channels_last, steps)


def _check_free(volume: VolumeHeader, shape: Shape3, trace: Trace, room: Room) -> None:
    """ResourceError if the transforms alone need more than is free: before windows are laid over a grid of any size."""
    free = room.device if room.gpu else room.host
    if free is not None and trace.peak_bytes > free:
        raise ResourceError(
            f"{volume.path}: {_by(volume.geometry.shape)} becomes {_by(shape)} for the model: the transforms alone "
            f"need {trace.peak_bytes / GIB:.1f} GiB of {'the GPU' if room.gpu else 'memory'}, "
            f"{free / GIB:.1f} GiB are free",
            remedy="check the target and the spacing in the file, or give the run more memory",
        )


def narrowed(
    job: Job, config: Config, pipeline: Pipeline, settings: Settings, volume: VolumeHeader, shape: Shape3
) -> Job:
    """`job` on the grid that the voxels decided, which lies within the one that it was planned for: no more memory."""
    classes = job.fit.channels_out
    smaller = settle(config, pipeline, settings, volume, job.model, None, channels_out=classes, shape=shape)
    batch = min(job.load.batch, smaller.load.batch)
    slots = min(job.load.slots, smaller.load.slots)
    return replace(smaller, load=replace(job.load, batch=batch, slots=slots), steps=job.steps)


def _result_bytes(pipeline: Pipeline, classes: int, shape: Shape3) -> int:
    """What the finalizer makes on the model's grid."""
    if pipeline.finalizer == "argmax":
        return _bytes(shape, label_dtype(classes))
    return _bytes((classes, *shape), np.uint8 if pipeline.finalizer == "masks" else np.float32)


def _bytes(shape: tuple[int, ...], dtype: Any) -> int:
    return int(math.prod(shape) * np.dtype(dtype).itemsize)


def _by(shape: tuple[int, int, int]) -> str:
    return "×".join(map(str, shape))
