"""config_render.json: how the renderer shows the published volume.

Keys are those that the renderers of the publish folder read. Switches may be booleans or the words "SWITCH_ENABLE" and
"SWITCH_DISABLE"; a section may come under its singular or its plural name, as one object or a list of them.
"""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel, to_pascal
from pydantic_core import PydanticCustomError

from gpu_infer.errors import ConfigError

FILE_NAME = "config_render.json"

_SWITCHES = {"SWITCH_ENABLE": True, "SWITCH_DISABLE": False}


def _switch(value: object) -> object:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value in _SWITCHES:
        return _SWITCHES[value]
    raise PydanticCustomError("switch", "expected true, false, SWITCH_ENABLE or SWITCH_DISABLE")


def _as_list(value: object) -> object:
    return [value] if isinstance(value, dict) else value


T = TypeVar("T")
Switch = Annotated[bool, BeforeValidator(_switch)]
OneOrMany = Annotated[list[T], BeforeValidator(_as_list)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
NotNegative = Annotated[float, Field(ge=0.0)]


class _Section(BaseModel):
    """Keys that we know are checked; others pass, since renderers of different ages know different ones."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=False, extra="allow", frozen=True)


class _Exact(_Section):
    """Here an unknown key is a mistake that the renderer would not tell."""

    model_config = ConfigDict(extra="forbid")


class Vector(_Exact):
    x: float
    y: float
    z: float


class Colour(_Exact):
    x: Fraction
    y: Fraction
    z: Fraction


class Interval(_Exact):
    """min ≤ max, both in 0..1."""

    min: Fraction
    max: Fraction

    @model_validator(mode="after")
    def _ordered(self) -> Interval:
        if self.min > self.max:
            raise PydanticCustomError("order", "expected min ≤ max")
        return self


class BackgroundLight(_Section):
    enable: Switch = True
    show: Switch = False
    cast_light: Switch = True
    intensity: NotNegative = 1.0
    top_color: Colour | None = None
    horizon_color: Colour | None = None
    bottom_color: Colour | None = None


class Camera(_Section):
    """Names in use: Cinematic, SliceTop, SliceFront, SliceRight, SliceOblique."""

    name: str = ""
    eye: Vector | None = None
    look_at: Vector | None = None
    up: Vector | None = None
    field_of_view: Annotated[float, Field(gt=0.0, lt=180.0)] = 30.0
    pixel_aspect_ratio: Positive = 1.0


class CameraAperture(_Section):
    enable: Switch = False
    auto_focus: Switch = False
    aperture: NotNegative = 0.0
    focus_distance: NotNegative = 1.0


class DataCrop(_Section):
    """One interval per axis, the elements axis first: 4 of them."""

    limits: Annotated[list[Interval], Field(min_length=4, max_length=4)] | None = None


class DataTransform(_Section):
    """Row-major 4×4."""

    matrix: Annotated[list[float], Field(min_length=16, max_length=16)] | None = None


class DataView(_Section):
    name: str = ""
    zoom_factor: Positive = 1.0
    pixel_aspect_ratio: Positive = 1.0


class Light(_Section):
    enable: Switch = True
    show: Switch = False
    intensity: NotNegative = 1.0
    size: NotNegative = 1.0
    position: Vector | None = None
    direction: Vector | None = None
    color: Colour | None = None


class PostProcessDenoise(_Section):
    method: Literal["OFF", "KNN", "KNN_SHARP", "AI"] = "OFF"
    enable_iteration_limit: Switch = False
    iteration_limit: Annotated[int, Field(ge=1)] = 100


class PostProcessTonemap(_Section):
    enable: Switch = True
    exposure: NotNegative = 1.0


class RenderSettings(_Section):
    interpolation_mode: Literal["LINEAR", "CATMULLROM"] = "LINEAR"
    step_size: Positive = 1.0
    shadow_step_size: Positive = 1.0
    max_iterations: Annotated[int, Field(ge=1)] = 10000


class View(_Section):
    name: str = ""
    mode: Literal["CINEMATIC", "SLICE", "SLICE_SEGMENTATION", "TWOD"] = "CINEMATIC"


class Component(_Exact):
    """How voxels of the labels `active_regions` (0: unlabelled) with a normalised density in `range` look."""

    range: Interval
    active_regions: list[Annotated[int, Field(ge=0)]] = []
    opacity_profile: Literal["SQUARE", "TRIANGLE", "SINE", "TRAPEZIOD"] = "SQUARE"  # spelled as renderers do
    opacity_transition: Fraction = 0.2
    opacity: Fraction = 0.5
    roughness: NotNegative = 0.0
    emissive_strength: NotNegative = 0.0
    diffuse_start: Colour | None = None
    diffuse_end: Colour | None = None
    specular_start: Colour | None = None
    specular_end: Colour | None = None
    emissive_start: Colour | None = None
    emissive_end: Colour | None = None


class TransferFunction(_Exact):
    shading_profile: Literal["BRDF_ONLY", "PHASE_ONLY", "HYBRID"] = "HYBRID"
    blending_profile: Literal["MAXIMUM_OPACITY", "BLENDED_OPACITY"] = "MAXIMUM_OPACITY"
    global_opacity: Fraction = 1.0
    density_scale: NotNegative = 100.0
    gradient_scale: NotNegative = 10.0
    hidden_regions: list[Annotated[int, Field(ge=0)]] = []
    components: list[Component] = []


class RenderFile(BaseModel):
    """The whole file. A section that is absent leaves the renderer's default."""

    model_config = ConfigDict(alias_generator=to_pascal, validate_by_name=False, extra="forbid", frozen=True)

    background_light: BackgroundLight | None = None
    camera: OneOrMany[Camera] = []
    cameras: OneOrMany[Camera] = []
    camera_aperture: CameraAperture | None = None
    data_crop: DataCrop | None = None
    data_transform: DataTransform | None = None
    data_view: OneOrMany[DataView] = []
    data_views: OneOrMany[DataView] = []
    light: OneOrMany[Light] = []
    lights: OneOrMany[Light] = []
    post_process_denoise: PostProcessDenoise | None = None
    post_process_tonemap: PostProcessTonemap | None = None
    render_settings: RenderSettings | None = None
    transfer_function: TransferFunction | None = None
    view: OneOrMany[View] = []
    views: OneOrMany[View] = []


def load_render_settings(path: Path) -> RenderFile:
    """Read and check a config_render.json. Raises ConfigError that names the file and the first wrong key."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(
            f"{path}: no such file", remedy=f"put {FILE_NAME} beside the inference configuration"
        ) from error
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", remedy="make it readable") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not JSON: {error}", remedy="mend the file") from error
    try:
        return RenderFile.model_validate(content)
    except ValidationError as error:
        raise _first_error(path, error) from error


def _first_error(path: Path, error: ValidationError) -> ConfigError:
    first = error.errors()[0]
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
    place = f"{path}: {key}" if key else f"{path}"
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(first["loc"][-1]), _known_keys(), 1)
        return ConfigError(f"{place}: unknown key", remedy=f"did you mean {near[0]}?" if near else "remove it")
    found = json.dumps(first["input"], default=str)
    return ConfigError(f"{place}: found {found[:60]}: {first['msg']}", remedy="mend the value")


def _known_keys() -> list[str]:
    models: tuple[type[BaseModel], ...] = (RenderFile, TransferFunction, Component, Interval, Vector)
    return [_alias(name, field) for model in models for name, field in model.model_fields.items()]


def _alias(name: str, field: Any) -> str:
    return str(field.alias or name)
