"""The `inferer` section: the model, its server and the placement of windows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, JsonValue, StrictInt

from gpu_infer.choices import MOST_SLOTS, Mode
from gpu_infer.config.arguments import build
from gpu_infer.config.components import Component
from gpu_infer.config.location import Place
from gpu_infer.config.model_entries import Combine, ModelEntry, Version, with_model_entries
from gpu_infer.config.monai_names import monai_hint
from gpu_infer.config.tensor_axes import Axes, Context, SliceAxis, check_axes, plane_axes, with_third_size
from gpu_infer.errors import ConfigError
from gpu_infer.inferers.modes import TAKES, Blend, Padding, WindowMode, window_mode
from gpu_infer.transforms.arguments import Arguments, Number, PositiveInteger, Shape, Text
from gpu_infer.triton.model.layout import ChannelPlace, TensorLayout

Kind = Literal["scan", "simple", "own"]

_KINDS: dict[str, Kind] = {
    "ScanWindowInferer": "scan",
    "ScanningWindowInferer": "scan",
    "SimpleInferer": "simple",
}
"""End of a name → kind; the front of the name is the engine of the original (TRTIS, TF, PT, …)."""

_WINDOW_SETTINGS = sorted({key for keys in TAKES.values() for key in keys})

_DEFAULT_PORTS = {"http": 8000, "grpc": 8001}


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _spread(value: object) -> object:
    """A single value three times, once per axis."""
    return [value] * 3 if isinstance(value, (int, float, str)) else value


PerAxis = Annotated[tuple[Number, Number, Number], BeforeValidator(_spread)]
"""One number for all axes, or three; becomes a tuple of three."""

Port = Annotated[PositiveInteger, Field(le=65535)]
Protocol = Annotated[Literal["http", "grpc"], BeforeValidator(_lower)]
Slots = Annotated[PositiveInteger, Field(le=MOST_SLOTS)]

_PER_AXIS = "a number, or 3 of them"


class InfererArguments(Arguments):
    """`args` of an inferer; `roi` is another spelling of `roi_size`.

    `inferers.modes` says which argument belongs to which mode, and what it means. A description is the end of the
    message "expected …" for all mistakes in the argument.
    """

    model_name: Text | None = None
    model_version: Version = None
    ip: Text | None = None
    port: Port | None = Field(None, description="a port from 1 to 65535")
    protocol: Protocol | None = Field(None, description='"HTTP" or "GRPC"')
    batch_size: PositiveInteger | None = None
    roi_size: Shape | None = None
    mode: Mode = "clara"
    overlap: PerAxis | None = Field(None, description=_PER_AXIS)
    step_size: Number | None = None
    blend: Blend | None = None
    sigma_scale: PerAxis | None = Field(None, description=_PER_AXIS)
    mirror_axes: tuple[StrictInt, ...] | None = Field(None, description="a list of axes, 0 (X), 1 (Y) or 2 (Z)")
    padding_mode: Padding | None = None
    cval: Number | None = None
    output_type: Literal["RAW"] = Field("RAW", description='"RAW", the only kind of output')
    slots: Slots | None = None
    axes: Axes | None = None
    slice_axis: SliceAxis | None = None
    context: Context | None = Field(None, description="a number of slices, 0 to 64")
    input_name: Text | None = None
    output_name: Text | None = None
    models: tuple[ModelEntry, ...] | None = Field(None, description="a list of models")
    combine: Combine | None = Field(None, description='"mean" or "union"')


class InfererSpec(InfererArguments):
    """The inferer as configured; for None, the server's metadata or the settings decide.

    kind           "scan": windows; "simple": the whole volume in one request; "own": a custom inferer decides
    model_version  None for the latest
    batch_size     windows per request
    roi_size       window (X, Y, Z) in voxels
    axes           spatial axes of the model's tensors in order, three or two
    slice_axis     axis across the slices that a 2-D model takes
    context        neighbours on each side of a slice that are further channels
    models         several models instead of `model_name`
    combine        "union": labels of `models` become one label map; otherwise their scores are averaged
    """

    name: str
    kind: Kind

    @property
    def address(self) -> str | None:
        """`host:port`, or None without an `ip`; the port defaults to that of the protocol."""
        if self.ip is None:
            return None
        host = f"[{self.ip}]" if ":" in self.ip else self.ip
        return f"{host}:{self.port or _DEFAULT_PORTS[self.protocol or 'http']}"

    @property
    def takes_slices(self) -> bool:
        """Whether the configuration says that the model is 2-D; a model with two axes is 2-D in any case."""
        return bool(self.slice_axis or self.context) or (self.axes is not None and len(self.axes) == 2)

    @property
    def entries(self) -> tuple[ModelEntry, ...]:
        """The models: those of `models`, or the one of `model_name`; empty if the settings name it."""
        if self.models is not None:
            return self.models
        if self.model_name is None:
            return ()
        return (self.entry(self.model_name),)

    def entry(self, model_name: str) -> ModelEntry:
        """The entry of a single model called `model_name`."""
        return ModelEntry(
            model_name=model_name,
            model_version=self.model_version,
            input_name=self.input_name,
            output_name=self.output_name,
        )

    @property
    def unites_labels(self) -> bool:
        """Whether the labels of several models become one label map."""
        return self.combine == "union"

    def layout(self, spatial: int, channels: ChannelPlace) -> TensorLayout:
        """The order of axes in tensors with two or three `spatial` axes."""
        if spatial == 2:
            return TensorLayout(plane_axes(self.axes, self.slice_axis), channels)
        return TensorLayout(self.axes or TensorLayout().axes, channels)

    def window_mode(self, override: str | None = None) -> WindowMode:
        """Placement and weights of windows, in the mode `override` or the configured one.

        Raises ConfigError if a configured setting does not belong to the mode, or if the inferer has no windows.
        """
        fields = self.model_dump()
        values = {key: fields[key] for key in _WINDOW_SETTINGS}
        if self.kind == "own" and override:
            raise ConfigError(f"--mode {override}: {self.name} places its windows itself", remedy="leave it out")
        if self.kind == "simple":
            named = [f"--mode {override}"] if override else [f"mode {self.mode}"] if self.mode != "clara" else []
            named += _without_effect({"roi_size": self.roi_size, "batch_size": self.batch_size, "slots": self.slots})
            self._refuse([*named, *(key for key, value in values.items() if value is not None)])
        return window_mode(override or self.mode, values)

    def check_name(self, name: str | None) -> None:
        """Raise ConfigError if the option --model has a `name`, and the configuration lists several models."""
        if self.models is not None and name is not None:
            raise ConfigError(
                f"--model {name}: the configuration lists {len(self.models)} models in inferer.args.models",
                remedy="leave it out",
            )

    def check_options(
        self,
        *,
        mode: str | None = None,
        roi_size: tuple[int, int, int] | None = None,
        batch_size: int | None = None,
        slots: int | None = None,
        slab: bool = True,
        model: str | None = None,
    ) -> None:
        """Raise ConfigError if options of the command line (None: not given) contradict the inferer."""
        self.check_name(model)
        try:
            self.window_mode(mode)
        except ConfigError as error:
            if mode is None or self.kind != "scan":  # the latter name the option already
                raise
            raise ConfigError(f"--mode {mode}: {error.message}", remedy=error.remedy) from None
        if self.kind == "own" and not slab:
            raise ConfigError(f"--no-slab: {self.name} has no accumulator", remedy="leave it out")
        if self.kind == "simple":
            self._refuse(_without_effect({"--roi": roi_size, "--batch-size": batch_size, "--slots": slots}))

    def _refuse(self, named: list[str]) -> None:
        if named:
            raise ConfigError(
                f"{', '.join(named)}: {self.name} sends the whole volume in one request and has no windows",
                remedy="leave it out, or use a scanning-window inferer",
            )


def _without_effect(values: Mapping[str, object]) -> list[str]:
    """Names of values that a single request cannot follow; it is one window at a time, so 1 is accepted."""
    return [name for name, value in values.items() if value not in (None, 1)]


def inferer_spec(component: Component) -> InfererSpec:
    """Make the specification from `{"name": "TRTISScanWindowInferer", "args": {…}}`.

    Raises ConfigError for anything else.
    """
    place = component.place
    kind = next((k for end, k in _KINDS.items() if component.label.endswith(end)), None)
    if kind is None:
        raise (place / "name").error(
            f'unknown inferer "{component.label}"{monai_hint(component.label)}',
            f"expected a name that ends with {', '.join(_KINDS)}, or the dotted name of a custom inferer",
        )
    return make_spec(component.label, kind, with_roi_size(component.args, place / "args"), place / "args")


def with_roi_size(args: Mapping[str, JsonValue], place: Place) -> dict[str, JsonValue]:
    """`args` with `roi_size` instead of `roi`. Raises ConfigError for both."""
    arguments = dict(args)
    if "roi" in arguments and "roi_size" in arguments:
        raise place.error('"roi" and "roi_size" are the same argument', "keep one")
    if "roi" in arguments:
        arguments["roi_size"] = arguments.pop("roi")
    return arguments


def make_spec(name: str, kind: Kind, arguments: Mapping[str, object], place: Place) -> InfererSpec:
    """Check the arguments of an inferer; `server_ip` is another spelling of `ip`. Raises ConfigError."""
    if "server_ip" in arguments:
        if "ip" in arguments:
            raise place.error('"ip" and "server_ip" are the same argument', "keep one")
        arguments = {("ip" if key == "server_ip" else key): value for key, value in arguments.items()}
    arguments = with_model_entries(with_third_size(arguments), place)
    checked = build(InfererArguments, InfererArguments, arguments, place, name)
    settings = {key: value for key in InfererArguments.model_fields if (value := getattr(checked, key)) is not None}
    spec = InfererSpec(name=name, kind=kind, **settings)
    try:
        check_axes(spec.axes, spec.slice_axis)
        spec.window_mode()
    except ConfigError as error:
        raise place.error(error.message, error.remedy) from None
    return spec
