"""The run plan: model, window grid, batch, slots and memory, decided before a run starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from gpu_infer.backends.base.backend import Backend
from gpu_infer.config.config import Config
from gpu_infer.errors import ConfigError, ResourceError
from gpu_infer.inferers.ensemble import Ensemble
from gpu_infer.inferers.label_windows import check_label_windows
from gpu_infer.inferers.model_fit import Fit
from gpu_infer.inferers.modes import WindowMode, check_fill
from gpu_infer.inferers.score_plan import ScorePlan
from gpu_infer.inferers.windows import WindowGrid
from gpu_infer.planning.fallbacks import fit_memory
from gpu_infer.planning.filter_places import host_filter_lines, with_filter_places
from gpu_infer.planning.free_memory import UNLIMITED, FreeMemory, free_memory
from gpu_infer.planning.memory_plan import ON_HOST, MemoryPlan, Placement, placement_of
from gpu_infer.planning.run_inputs import RunInputs, model_entries
from gpu_infer.planning.score_options import ScoreOptions, score_options
from gpu_infer.planning.several_models import (
    Part,
    check_channels,
    check_common,
    make_ensemble,
    make_parts,
    most_knobs,
)
from gpu_infer.planning.sizes import Windows, largest_sizes, measure_sizes
from gpu_infer.planning.strips import strips_refusal, window_refusal
from gpu_infer.planning.volume_choice import StripWindows, check_transforms, fit_volume
from gpu_infer.planning.window_choice import choose_knobs, fit_window, layout_of, place_windows
from gpu_infer.settings import Settings
from gpu_infer.transforms.chain.strips import StripChain
from gpu_infer.triton.client.server import Server
from gpu_infer.triton.model.info import ModelInfo
from gpu_infer.triton.model.layout import AXES, TensorLayout
from gpu_infer.triton.ring import probe_output_channels
from gpu_infer.triton.transport import Transport
from gpu_infer.volume.geometry import Shape3, format_shape


@dataclass(frozen=True, eq=False)
class RunPlan:
    """Everything that is decided before a run.

    memory         with batch, slots and slab as the free memory allows
    layout         the order of axes in the model's windows
    fallbacks      one line for each filter on a GPU's host, and each step by which the memory plan was reduced
    scores         the maps of --scores and --uncertainty, None: none
    ensemble       the models whose scores are averaged, None: one model
    parts          the models of a union; `model`, `fit`, `layout` and `grid` are those of the first one
    strips         the chain for boxes of the volume, if it does not fit into memory; None: it is whole in memory
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
    ensemble: Ensemble | None = None
    parts: tuple[Part, ...] = ()
    strips: StripChain | None = None

    @property
    def models(self) -> tuple[ModelInfo, ...]:
        """All models of the run, in order."""
        if self.ensemble is not None:
            return self.ensemble.models
        return tuple(part.model for part in self.parts) or (self.model,)

    @property
    def model_names(self) -> str:
        """The names of all models, for people."""
        return ", ".join(dict.fromkeys(model.name for model in self.models))

    @property
    def model_versions(self) -> str:
        """The versions of all models in the order of `model_names`."""
        return ", ".join({model.name: model.version for model in self.models}.values())

    def for_part(self, part: Part) -> RunPlan:
        """The plan of one pass of a union, without parts."""
        knobs = self.memory.knobs
        most = choose_knobs(self.inputs, (part.model,), part.fit, part.grid, self.memory.placement)
        knobs = replace(knobs, batch=min(knobs.batch, most.batch), slots=min(knobs.slots, most.slots))
        memory = replace(self.memory, knobs=knobs)
        return replace(
            self, model=part.model, fit=part.fit, grid=part.grid, memory=memory, layout=part.layout, parts=()
        )

    def lines(self) -> list[str]:
        """The plan for the log: model, windows, and every part of the memory."""
        if self.parts:
            passes = [line for part in self.parts for line in self.for_part(part).window_lines()]
            united = f"labels of {len(self.parts)} models are united, one pass over the volume each"
            return [united, *passes, *self.memory.lines()]
        return [*self.window_lines(), *self.memory.lines()]

    def window_lines(self) -> list[str]:
        """The models and the windows."""
        return [
            *(
                f"model {model.name} version {model.version}{self._weight(n)}: {self.fit.model_channels} → "
                f"{'labels' if self.fit.labels else f'{self.fit.channels_out} channels'}, {model.input.datatype}"
                for n, model in enumerate(self.models)
            ),
            f"{self._windows()}, batch {self.memory.knobs.batch}, {self.memory.knobs.slots} slots",
            *self._axes_lines(),
            *([] if self.strips is None else ["volume and labels are never whole in memory: strip by strip"]),
        ]

    def _windows(self) -> str:
        over = f"of {format_shape(self.fit.window)} over {format_shape(self.grid.shape)}"
        if (inferer := self.inputs.config.own_inferer) is not None:
            return f"windows {over}, placed by {inferer.label}"
        distinct, windows = self.grid.distinct_count, self.grid.window_count
        repeated = "" if distinct == windows else f" ({windows} with repeats)"
        return f"{distinct} windows{repeated} {over}, mode {self.grid.mode}{self._weights()}"

    def _weight(self, number: int) -> str:
        """The share of one model of an ensemble."""
        if self.ensemble is None:
            return ""
        weights = self.ensemble.weights
        return f", weight {1 / len(self.models) if weights is None else weights[number]:.4g}"

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
    models         of all runs; empty: not known
    channels_out   classes of a model whose configuration does not say them, by window
    """

    lasting_slots: bool = False
    open_slots: int = 0
    free: FreeMemory | None = None
    models: tuple[ModelInfo, ...] = ()
    channels_out: dict[Shape3, int] = field(default_factory=dict)


def plan_run(inputs: RunInputs, transport: Transport, backend: Backend, earlier: Earlier | None = None) -> RunPlan:
    """Ask the server for the model and plan the run.

    If /dev/shm has no space for the slots, `transport` falls back here, and the plan counts what requests hold. What is
    found is added to `earlier`, if the run is one of a session.

    Raises ModelError, ConfigError or ResourceError.
    """
    earlier = Earlier() if earlier is None else earlier
    inputs = with_filter_places(inputs, backend)
    models = earlier.models or ask_models(inputs.config, inputs.settings, transport.server)
    model, further = models[0], models[1:]
    lasting = earlier.lasting_slots
    placement = placement_of(backend, transport.control, transport.data, lasting_slots=lasting)
    free, channels_out = earlier.free or free_memory(backend), None
    plan = make_plan(inputs, model, free, placement, further=further)
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
        plan = make_plan(inputs, model, earlier.free or free_memory(backend), new_placement, channels_out, further)
    earlier.models = models
    plan.fallbacks[:0] = host_filter_lines(inputs.pipeline, inputs.places)
    return plan


def make_plan(
    inputs: RunInputs,
    model: ModelInfo,
    free: FreeMemory = UNLIMITED,
    placement: Placement = ON_HOST,
    channels_out: int | None = None,
    further: Sequence[ModelInfo] = (),
) -> RunPlan:
    """Plan the run of a known model, without reading a voxel or asking a server.

    channels_out  classes of the model, if its configuration does not say them
    further       the other models, if the configuration lists several

    Raises ModelError, ConfigError or ResourceError.
    """
    header, trace = inputs.header, inputs.trace()
    models = (model, *further)
    if further:
        check_common(models, inputs.config.path)
    layout = layout_of(inputs, model, trace)
    fits = [fit_window(inputs, each, trace.model_channels, trace.model_shape, layout) for each in models]
    if channels_out is not None:
        fits[0] = replace(fits[0], channels_out=channels_out)
    refusal = strips_refusal(inputs)
    if refusal:
        check_transforms(inputs, trace, free, placement, refusal)
    mode = inputs.config.inferer.window_mode(inputs.settings.mode)
    for each in models:
        check_fill(mode, each)
    options = score_options(inputs.settings, inputs.config, inputs.pipeline)
    parts: tuple[Part, ...] = ()
    ensemble = None
    if further:
        for n, (each, other) in enumerate(zip(models, fits, strict=True)):
            check_channels(each, other, inputs.config.path, n)
        if inputs.config.inferer.unites_labels:
            parts = make_parts(inputs, models, fits, layout, mode, trace, options)
        else:
            ensemble = make_ensemble(inputs, models, fits)
    fit = replace(fits[0], batch=min(each.batch for each in fits))
    grid = place_windows(inputs, trace.model_shape, fit, mode, layout, 1 if ensemble is None else len(models))
    if fit.labels:
        _check_labels(inputs, model, grid, options)
    united = 1 + max((label for part in parts for label in part.final_labels), default=-1)
    if united or fit.classes > 0:
        trace = inputs.trace(model.input.dtype, united or fit.classes)
    scores = None if options is None else options.plan(fit.classes)
    if parts:
        sizes = largest_sizes(
            [
                measure_sizes(inputs, Windows(p.model, p.fit, mode, p.grid, labels=united), trace, free.resident)
                for p in parts
            ]
        )
    else:
        sizes = measure_sizes(inputs, Windows(model, fit, mode, grid, scores, ensemble), trace, free.resident)
    refusal = refusal or window_refusal(grid, fit)
    assert refusal or not further
    plan = MemoryPlan(sizes, placement, most_knobs(inputs, models, fit, grid, placement, parts))
    try:
        memory, fallbacks, strips = fit_volume(inputs, plan, free, StripWindows(grid, fit, model), refusal)
    except ResourceError as error:  # the grid shows whether the file has a wrong spacing
        raise ResourceError(
            f"{header.path}: {format_shape(header.geometry.shape)} becomes {format_shape(grid.shape)} for the model: "
            f"{error.message}",
            remedy=error.remedy,
        ) from None
    return RunPlan(inputs, model, fit, mode, grid, memory, layout, fallbacks, scores, ensemble, parts, strips)


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
    if plan.parts:
        parts = tuple(_part_on_grid(plan, part, shape) for part in plan.parts)
        return replace(plan, parts=parts, fit=parts[0].fit, grid=parts[0].grid)
    inputs = plan.inputs
    fit = replace(fit_window(inputs, plan.model, plan.fit.channels_in, shape, plan.layout), batch=plan.fit.batch)
    fit = replace(fit, channels_out=plan.fit.channels_out)
    grid = place_windows(inputs, shape, fit, plan.mode, plan.layout, plan.grid.models)
    if fit.labels:
        check_label_windows(plan.model, grid)
    most, knobs = choose_knobs(inputs, plan.models, fit, grid, plan.memory.placement), plan.memory.knobs
    knobs = replace(knobs, batch=min(knobs.batch, most.batch), slots=min(knobs.slots, most.slots))
    return replace(plan, fit=fit, grid=grid, memory=replace(plan.memory, knobs=knobs))


def _part_on_grid(plan: RunPlan, part: Part, shape: Shape3) -> Part:
    smaller = replan_for_grid(plan.for_part(part), shape)
    return replace(part, fit=smaller.fit, grid=smaller.grid)


def ask_models(config: Config, settings: Settings, server: Server) -> tuple[ModelInfo, ...]:
    """The models of a run, as the server describes them; usually one. Raises ModelError, ConfigError."""
    inferer = config.inferer
    return tuple(
        server.model(
            entry.model_name,
            entry.model_version or "",
            input_name=entry.input_name,
            output_name=entry.output_name,
            batch=settings.batch_size or inferer.batch_size,
            slices=inferer.takes_slices,
            wait_s=settings.ready_wait_s,
            load=settings.load_model,
        )
        for entry in model_entries(config, settings)
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
