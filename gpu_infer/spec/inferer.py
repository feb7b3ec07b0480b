"""The `inferer` section: which model, where, and how windows are laid."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from gpu_infer.transforms.arguments import Arguments, PositiveInteger, Shape, Text

from .arguments import build
from .components import Component
from .place import Place

Kind = Literal["scan", "simple"]

_KINDS: dict[str, Kind] = {
    "ScanWindowInferer": "scan",
    "ScanningWindowInferer": "scan",
    "SimpleInferer": "simple",
}
"""What a name must end with; the front says with which engine it once ran (TRTIS, TF, PT, …)."""

_DEFAULT_PORTS = {"http": 8000, "grpc": 8001}


def _version(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, bool) and isinstance(value, (int, str)) and str(value).strip():
        text = str(value).strip()
        if text == "-1":  # "latest", as TensorRT Inference Server clients wrote it
            return None
        if text.isdecimal():
            return text
    raise ValueError("expected a version number, or -1 for the latest")


def _port(value: Any) -> int:
    if not isinstance(value, bool) and str(value).strip().isdecimal() and 1 <= int(value) <= 65535:
        return int(value)
    raise ValueError("expected a port from 1 to 65535")


def _protocol(value: Any) -> str:
    if isinstance(value, str) and value.lower() in ("http", "grpc"):
        return value.lower()
    raise ValueError('expected "HTTP" or "GRPC"')


def _mode(value: Any) -> str:
    if value in ("monai", "nnunet"):
        raise ValueError(f'the mode "{value}" is not supported yet (use "clara")')
    if value != "clara":
        raise ValueError('expected "clara"')
    return "clara"


def _output_type(value: Any) -> str:
    if value != "RAW":
        raise ValueError('expected "RAW", the only kind of output')
    return "RAW"


class InfererArguments(Arguments):
    """`args` of an inferer; `roi` is another spelling of `roi_size`."""

    model_name: Text | None = None
    model_version: Annotated[str | None, BeforeValidator(_version)] = None
    ip: Text | None = None
    port: Annotated[int, BeforeValidator(_port)] | None = None
    protocol: Annotated[Literal["http", "grpc"], BeforeValidator(_protocol)] | None = None
    batch_size: PositiveInteger | None = None
    roi_size: Shape | None = None
    mode: Annotated[Literal["clara"], BeforeValidator(_mode)] = "clara"
    output_type: Annotated[Literal["RAW"], BeforeValidator(_output_type)] = "RAW"
    slots: PositiveInteger | None = None
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
    return InfererSpec(name=name, kind=kind, **checked.model_dump(exclude_none=True))
