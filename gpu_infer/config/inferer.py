"""The `inferer` section: which model, where, and how windows are laid."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator

from gpu_infer.choices import MOST_SLOTS, Mode
from gpu_infer.config.arguments import build
from gpu_infer.config.components import Component
from gpu_infer.config.location import Place
from gpu_infer.errors import ConfigError
from gpu_infer.inferers.modes import MODES, TAKES, Blend, WindowMode, window_mode
from gpu_infer.transforms.arguments import Arguments, Number, PositiveInteger, Shape, Text, number

Kind = Literal["scan", "simple"]

_KINDS: dict[str, Kind] = {
    "ScanWindowInferer": "scan",
    "ScanningWindowInferer": "scan",
    "SimpleInferer": "simple",
}
"""What a name must end with; the front says with which engine it once ran (TRTIS, TF, PT, …)."""

_WINDOW_SETTINGS = sorted({key for keys in TAKES.values() for key in keys})

_DEFAULT_PORTS = {"http": 8000, "grpc": 8001}


def _version(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, bool) and isinstance(value, (int, str)) and str(value).strip():
        text = str(value).strip()
        if text == "-1":  # "latest", as TensorRT Inference Server clients wrote it
            return None
        if text.isascii() and text.isdecimal() and len(text) <= 19:  # Triton's versions have 64 bits
            return text
    raise ValueError("expected a version number, or -1 for the latest")


def _port(value: Any) -> int:
    text = str(value).strip()
    digits = not isinstance(value, bool) and text.isascii() and text.isdecimal() and len(text) <= 5
    if digits and 1 <= int(text) <= 65535:
        return int(text)
    raise ValueError("expected a port from 1 to 65535")


def _protocol(value: Any) -> str:
    if isinstance(value, str) and value.lower() in ("http", "grpc"):
        return value.lower()
    raise ValueError('expected "HTTP" or "GRPC"')


def _mode(value: Any) -> str:
    if value in MODES:
        return str(value)
    raise ValueError(f"expected {', '.join(MODES[:-1])} or {MODES[-1]}")


def _blend(value: Any) -> str:
    if value in get_args(Blend):
        return str(value)
    raise ValueError("expected constant or gaussian")


def _per_axis(value: Any) -> tuple[float, float, float]:
    values = list(value) if isinstance(value, (list, tuple)) else [value] * 3
    if len(values) == 3:
        x, y, z = (number(v) for v in values)
        return (x, y, z)
    raise ValueError("expected a number, or 3 of them")


def _axes(value: Any) -> tuple[int, ...]:
    if isinstance(value, (list, tuple)) and all(type(axis) is int for axis in value):
        return tuple(value)
    raise ValueError("expected a list of axes, 0 (X), 1 (Y) or 2 (Z)")


PerAxis = Annotated[tuple[float, float, float], BeforeValidator(_per_axis)]
"""One number for all axes, or three; a tuple of three either way."""


def _slots(value: int) -> int:
    if value > MOST_SLOTS:
        raise ValueError(f"expected at most {MOST_SLOTS}")
    return value


def _output_type(value: Any) -> str:
    if value != "RAW":
        raise ValueError('expected "RAW", the only kind of output')
    return "RAW"


class InfererArguments(Arguments):
    """`args` of an inferer; `roi` is another spelling of `roi_size`.

    What belongs to which mode, and what it means: `inferers.modes`.
    """

    model_name: Text | None = None
    model_version: Annotated[str | None, BeforeValidator(_version)] = None
    ip: Text | None = None
    port: Annotated[int, BeforeValidator(_port)] | None = None
    protocol: Annotated[Literal["http", "grpc"], BeforeValidator(_protocol)] | None = None
    batch_size: PositiveInteger | None = None
    roi_size: Shape | None = None
    mode: Annotated[Mode, BeforeValidator(_mode)] = "clara"
    overlap: PerAxis | None = None
    step_size: Number | None = None
    blend: Annotated[Blend, BeforeValidator(_blend)] | None = None
    sigma_scale: PerAxis | None = None
    mirror_axes: Annotated[tuple[int, ...], BeforeValidator(_axes)] | None = None
    cval: Number | None = None
    output_type: Annotated[Literal["RAW"], BeforeValidator(_output_type)] = "RAW"
    slots: Annotated[PositiveInteger, AfterValidator(_slots)] | None = None
    input_name: Text | None = None
    output_name: Text | None = None


class InfererSpec(InfererArguments):
    """The inferer as configured. None: the server's metadata or the settings decide.

    kind           "scan": windows; "simple": the whole volume in one request
    model_version  None for the latest
    batch_size     windows per request; roi_size: window (X, Y, Z) in voxels
    """

    name: str
    kind: Kind

    @property
    def address(self) -> str | None:
        """`host:port`, or None where no `ip` is given; the port defaults to that of the protocol."""
        if self.ip is None:
            return None
        host = f"[{self.ip}]" if ":" in self.ip else self.ip
        return f"{host}:{self.port or _DEFAULT_PORTS[self.protocol or 'http']}"

    def window_mode(self, override: str | None = None) -> WindowMode:
        """How windows are laid; `override` is a mode that beats the configured one.

        Raises ConfigError where a configured setting does not belong to the mode, or the inferer has no windows.
        """
        given = {key: getattr(self, key) for key in _WINDOW_SETTINGS}
        if self.kind == "simple":
            named = [f"--mode {override}"] if override else [f"mode {self.mode}"] if self.mode != "clara" else []
            named += _without_effect("roi_size", self.roi_size, "batch_size", self.batch_size, "slots", self.slots)
            self._refuse([*named, *(key for key, value in given.items() if value is not None)])
        return window_mode(override or self.mode, given)

    def check_options(
        self,
        *,
        mode: str | None = None,
        roi_size: tuple[int, int, int] | None = None,
        batch_size: int | None = None,
        slots: int | None = None,
    ) -> None:
        """ConfigError where options of the command line (None: not given) do not go with the inferer."""
        try:
            self.window_mode(mode)
        except ConfigError as error:
            if mode is None or self.kind == "simple":  # the latter names the option already
                raise
            raise ConfigError(f"--mode {mode}: {error.message}", remedy=error.remedy) from None
        if self.kind == "simple":
            self._refuse(_without_effect("--roi", roi_size, "--batch-size", batch_size, "--slots", slots))

    def _refuse(self, named: list[str]) -> None:
        if named:
            raise ConfigError(
                f"{', '.join(named)}: {self.name} sends the whole volume in one request and has no windows",
                remedy="leave it out, or use a scanning-window inferer",
            )


def _without_effect(*given: Any) -> list[str]:
    """Of names and values in turn: those that a single request cannot follow. One window at a time is what it is."""
    return [name for name, value in zip(given[::2], given[1::2], strict=True) if value not in (None, 1)]


def inferer_spec(component: Component) -> InfererSpec:
    """From `{"name": "TRTISScanWindowInferer", "args": {…}}`; ConfigError for anything else."""
    place = component.place
    kind = next((k for end, k in _KINDS.items() if component.label.endswith(end)), None)
    if kind is None or component.path:
        raise (place / "name").error(
            f'unknown inferer "{component.label}"', f"expected a name that ends with {', '.join(_KINDS)}"
        )
    arguments = dict(component.args)
    if "roi" in arguments and "roi_size" in arguments:
        raise (place / "args").error('"roi" and "roi_size" are the same argument', "keep one")
    if "roi" in arguments:
        arguments["roi_size"] = arguments.pop("roi")
    return make_spec(component.label, kind, arguments, place / "args")


def make_spec(name: str, kind: Kind, arguments: dict[str, Any], place: Place) -> InfererSpec:
    checked = build(InfererArguments, InfererArguments, arguments, place, name)
    spec = InfererSpec(name=name, kind=kind, **checked.model_dump(exclude_none=True))
    try:
        spec.window_mode()
    except ConfigError as error:
        raise place.error(error.message, error.remedy) from None
    return spec
