"""The run plan: model, window grid, batch, slots and memory, decided before a run starts."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from gpu_infer.backends.base.backend import Backend
from gpu_infer.backends.filters import library_function
from gpu_infer.config.config import Config
from gpu_infer.errors import ConfigError, ResourceError
from gpu_infer.inferers.label_windows import check_label_windows
from gpu_infer.inferers.model_fit import Fit, fit_model
from gpu_infer.inferers.modes import WindowMode
from gpu_infer.inferers.score_plan import ScorePlan
from gpu_infer.inferers.windows import WindowGrid, make_grid
from gpu_infer.planning.fallbacks import GIB, fit_memory
from gpu_infer.planning.free_memory import UNLIMITED, FreeMemory, free_memory
from gpu_infer.planning.memory_plan import ON_HOST, Knobs, MemoryPlan, Placement, placement_of
from gpu_infer.planning.run_inputs import RunInputs, model_name
from gpu_infer.planning.score_options import ScoreOptions, score_options
from gpu_infer.planning.sizes import Windows, measure_sizes
from gpu_infer.settings import Settings
from gpu_infer.transforms.chain.pipeline import Pipeline
from gpu_infer.transforms.chain.trace import Trace
from gpu_infer.triton.client.server import Server
from gpu_infer.triton.model.info import ModelInfo
from gpu_infer.triton.model.layout import AXES, TensorLayout
from gpu_infer.triton.model.queue import slots_within_queue
from gpu_infer.triton.ring import probe_output_channels
from gpu_infer.triton.transport import Transport
from gpu_infer.volume.geometry import Shape3, format_shape

SLOTS = 2
"""Default number of requests in flight: one is computed while the other is filled and blended."""


@dataclass(frozen=True, eq=False)
class RunPlan:
    """Everything that is decided before a run.

    memory         with batch, slots and slab as the free memory allows
    layout         the order of axes in the model's windows
    fallbacks      one line for each step by which the memory plan was reduced
    scores         the maps of --scores and --uncertainty, None: none
    """

    inputs: RunInputs
    model: ModelInfo
    fit: Fit
    mode: WindowMode
    grid: WindowGrid
    memory: MemoryPlan
    layout: TensorLayout
    fallbacks: list[str]
    scores: ScorePlan | None = None

    def lines(self) -> list[str]:
        """The plan for the log: model, windows, and every part of the memory."""
        return [
            f"model {self.model.name} version {self.model.version}: {self.fit.model_channels} → "
            f"{'labels' if self.fit.labels else f'{self.fit.channels_out} channels'}, {self.model.input.datatype}",
            f"{self._windows()}, batch {self.memory.knobs.batch}, {self.memory.knobs.slots} slots",
            *self._axes_lines(),
            *self.memory.lines(),
        ]

    def _windows(self) -> str:
        over = f"of {format_shape(self.fit.window)} over {format_shape(self.grid.shape)}"
        if (inferer := self.inputs.config.own_inferer) is not None:
            return f"windows {over}, placed by {inferer.label}"
        distinct, windows = self.grid.distinct_count, self.grid.window_count
        repeated = "" if distinct == windows else f" ({windows} with repeats)"
        return f"{distinct} windows{repeated} {over}, mode {self.grid.mode}{self._weights()}"

    def _axes_lines(self) -> list[str]:
        """One line if the model takes slices or permuted axes."""
        across = self.layout.slice_axis
        if across is not None:
            context = f", with {self.fit.context} neighbours on each side as channels" if self.fit.context else ""
            return [f"windows are slices across axis {AXES[across]}{context}, the model's axes are {self.layout.axes}"]
        return [] if self.layout.axes == AXES else [f"the model's axes are {self.layout.axes}"]

    def _weights(self) -> str:
        weights = f", {self.mode.blend} weights" if self.mode.blend != "constant" else ""
        return weights + (f", mirrored in {n} combinations" if (n := len(self.grid.mirrors)) > 1 else "")


@dataclass
class Earlier:
    """What earlier runs of a session have found and still hold; empty for a run of its own.

    lasting_slots  the session keeps its slots from run to run
    open_slots     bytes of the slots that are open now
    free           free memory before the first run: a run is planned as if it were alone in the session
    model          of all runs
    channels_out   classes of a model whose configuration does not say them, by window
    """

    lasting_slots: bool = False
    open_slots: int = 0
    free: FreeMemory | None = None
    model: ModelInfo | None = None
    channels_out: dict[Shape3, int] = field(default_factory=dict)


def plan_run(inputs: RunInputs, transport: Transport, backend: Backend, earlier: Earlier | None = None) -> RunPlan:
    """Ask the server for the model and plan the run.

    If /dev/shm has no space for the slots, `transport` falls back here, and the plan counts what requests hold. What is
    found is added to `earlier`, if the run is one of a session.

    Raises ModelError, ConfigError or ResourceError.
    """
    earlier = Earlier() if earlier is None else earlier
    if backend.name == "gpu":
        check_gpu_filters(inputs.pipeline)
    model = earlier.model or ask_model(inputs.config, inputs.settings, transport.server)
    lasting = earlier.lasting_slots
    placement = placement_of(backend, transport.control, transport.data, lasting_slots=lasting)
    free, channels_out = earlier.free or free_memory(backend), None
    plan = make_plan(inputs, model, free, placement)
    if plan.fit.channels_out == -1:
        channels_out = earlier.channels_out.get(plan.fit.window) or probe_output_channels(
            transport,
            model,
            plan.fit.window,
            plan.fit.model_channels,
            layout=plan.layout,
            deadline_s=inputs.settings.deadline_s,
        )
        earlier.channels_out[plan.fit.window] = channels_out
        plan = make_plan(inputs, model, free, placement, channels_out)
    transport.make_room(max(0, plan.memory.arena_bytes - earlier.open_slots))
    new_placement = placement_of(backend, transport.control, transport.data, lasting_slots=lasting)
    if new_placement.message_copies != placement.message_copies:
        plan = make_plan(inputs, model, earlier.free or free_memory(backend), new_placement, channels_out)
    earlier.model = model
    return plan


def check_gpu_filters(pipeline: Pipeline) -> None:
    """Raise ConfigError, with the command that installs it, if a filter's library for the GPU is missing."""
    for transform in (*pipeline.pre, *pipeline.post):
        for name in transform.library_filters:
            library_function(name, "gpu")


def make_plan(
    inputs: RunInputs,
    model: ModelInfo,
    free: FreeMemory = UNLIMITED,
    placement: Placement = ON_HOST,
    channels_out: int | None = None,
) -> RunPlan:
    """Plan the run of a known model, without reading a voxel or asking a server.

    channels_out  classes of the model, if its configuration does not say them

    Raises ModelError, ConfigError or ResourceError.
    """
    header, trace = inputs.header, inputs.trace()
    layout = inputs.config.inferer.layout(len(model.input.dims) - 1, "last" if trace.channels_last else "first")
    fit = fit_window(inputs, model, trace.model_channels, trace.model_shape, layout)
    if channels_out is not None:
        fit = replace(fit, channels_out=channels_out)
    _check_transforms(inputs, trace, free, placement)
    mode = inputs.config.inferer.window_mode(inputs.settings.mode)
    grid = _place_windows(inputs, trace.model_shape, fit, mode, layout)
    options = score_options(inputs.settings, inputs.config, inputs.pipeline)
    if fit.labels:
        _check_labels(inputs, model, grid, options)
    if fit.classes > 0:
        trace = inputs.trace(model.input.dtype, fit.classes)
    scores = None if options is None else options.plan(fit.classes)
    sizes = measure_sizes(inputs, Windows(model, fit, mode, grid, scores), trace, free.resident)
    try:
        memory = MemoryPlan(sizes, placement, choose_knobs(inputs, model, fit, grid, placement))
        memory, fallbacks = fit_memory(memory, free.with_resident())
    except ResourceError as error:  # the grid shows whether the file has a wrong spacing
        raise ResourceError(
            f"{header.path}: {format_shape(header.geometry.shape)} becomes {format_shape(grid.shape)} for the model: "
            f"{error.message}",
            remedy=error.remedy,
        ) from None
    return RunPlan(inputs, model, fit, mode, grid, memory, layout, fallbacks, scores)


def fit_window(inputs: RunInputs, model: ModelInfo, channels: int, shape: Shape3, layout: TensorLayout) -> Fit:
    """Choose window and batch for a prepared volume of `channels` and `shape`.

    Raises ModelError if volume and model do not fit, ConfigError if a roi_size is missing or the batch is too large.
    """
    inferer = inputs.config.inferer
    return fit_model(
        model,
        channels=channels,
        shape=shape,
        layout=layout,
        whole_volume=inferer.kind == "simple",
        roi_size=inputs.settings.roi_size or inferer.roi_size,
        batch_size=inputs.batch_size,
        context=inferer.context or 0,
    )


def _place_windows(inputs: RunInputs, shape: Shape3, fit: Fit, mode: WindowMode, layout: TensorLayout) -> WindowGrid:
    """The windows of a built-in inferer; one window for a custom inferer, which places its own.

    Raises ConfigError for a model that only built-in inferers run.
    """
    if (own := inputs.config.own_inferer) is None:
        return make_grid(shape, fit.window, mode, layout.slice_axis, fit.context)
    if fit.labels or fit.context or layout.slice_axis is not None:
        what = "answers labels" if fit.labels else "takes slices"
        raise ConfigError(
            f"{own.label}: the model {what}, expected scores of windows with three axes",
            remedy="use a built-in inferer for this model",
        )
    return make_grid(shape, shape, mode)


def choose_knobs(inputs: RunInputs, model: ModelInfo, fit: Fit, grid: WindowGrid, placement: Placement) -> Knobs:
    """The knobs as options and configuration set them, but no larger than windows need and the model's queue takes."""
    slots = inputs.settings.slots or inputs.config.inferer.slots or SLOTS
    if (most := slots_within_queue(model, inputs.clients)) is not None:
        slots = min(slots, most)
    if inputs.config.own_inferer is not None:
        return Knobs(slots=slots, batch=fit.batch, slab=inputs.settings.slab, spare=True)
    visits = grid.distinct_count * len(grid.mirrors)
    batch = min(fit.batch, visits)
    host_labels = fit.labels and placement.gpu  # windows of labels come together on the host
    return Knobs(
        slots=min(slots, -(-visits // batch)), batch=batch, slab=inputs.settings.slab, host_sums=host_labels, spare=True
    )


def replan_for_transport(plan: RunPlan, transport: Transport, backend: Backend) -> RunPlan:
    """`plan` itself, or with another memory plan if `transport` fell back since `plan` was made.

    Slots are then on the host, and inline requests hold copies of them; the GPU needs less. `fallbacks` of the result
    are the new ones. Raises ResourceError if the host's memory does not suffice.
    """
    lasting = plan.memory.placement.lasting_slots
    placement = placement_of(backend, transport.control, transport.data, lasting_slots=lasting)
    if placement == plan.memory.placement:
        return plan
    # The GPU is not compared: this run's arrays already reduce its free bytes, and the first plan needed more of it.
    host_only = replace(free_memory(backend), device=None).with_resident()
    memory, fallbacks = fit_memory(replace(plan.memory, placement=placement), host_only)
    return replace(plan, memory=memory, fallbacks=fallbacks)


def replan_for_grid(plan: RunPlan, shape: Shape3) -> RunPlan:
    """`plan` on the model's grid that voxel values decided; it is within the planned grid and needs no more memory."""
    inputs = plan.inputs
    fit = fit_window(inputs, plan.model, plan.fit.channels_in, shape, plan.layout)
    fit = replace(fit, channels_out=plan.fit.channels_out)
    grid = _place_windows(inputs, shape, fit, plan.mode, plan.layout)
    if fit.labels:
        check_label_windows(plan.model, grid)
    most, knobs = choose_knobs(inputs, plan.model, fit, grid, plan.memory.placement), plan.memory.knobs
    knobs = replace(knobs, batch=min(knobs.batch, most.batch), slots=min(knobs.slots, most.slots))
    return replace(plan, fit=fit, grid=grid, memory=replace(plan.memory, knobs=knobs))


def ask_model(config: Config, settings: Settings, server: Server) -> ModelInfo:
    """The model of a run, as the server describes it. Raises ModelError, ConfigError."""
    inferer = config.inferer
    return server.model(
        model_name(config, settings),
        inferer.model_version or "",
        input_name=inferer.input_name,
        output_name=inferer.output_name,
        batch=settings.batch_size or inferer.batch_size,
        slices=inferer.takes_slices,
        wait_s=settings.ready_wait_s,
        load=settings.load_model,
    )


def _check_labels(inputs: RunInputs, model: ModelInfo, grid: WindowGrid, options: ScoreOptions | None) -> None:
    """Raise ConfigError if a model that answers labels does not suit the windows, the transforms or the options."""
    what = f"model {model.name} answers labels ({model.output.datatype})"
    if inputs.pipeline.finalizer != "argmax":
        raise ConfigError(
            f"{inputs.config.path}: {what}, the post_transforms work on scores",
            remedy="begin them with ArgmaxAcrossChannels, which the model has done by itself",
        )
    if options is not None:
        raise ConfigError(f"--scores or --uncertainty: {what} and no scores", remedy="leave the option out")
    check_label_windows(model, grid)


def _check_transforms(inputs: RunInputs, trace: Trace, free: FreeMemory, placement: Placement) -> None:
    """Raise ResourceError if the transforms alone need more than is free, before windows are placed on a huge grid."""
    header = inputs.header
    limit = free.device if placement.gpu else free.host
    if limit is not None and trace.peak_bytes > limit:
        raise ResourceError(
            f"{header.path}: {format_shape(header.geometry.shape)} becomes {format_shape(trace.model_shape)} for the "
            f"model: the transforms alone need {trace.peak_bytes / GIB:.1f} GiB of "
            f"{'the GPU' if placement.gpu else 'memory'}, {limit / GIB:.1f} GiB are free",
            remedy="check the target and the spacing in the file, or give the run more memory",
        )
