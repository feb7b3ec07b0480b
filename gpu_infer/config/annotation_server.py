"""The annotation server's form of a configuration: an `inference` section instead of `inferer`."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from pydantic import JsonValue

from gpu_infer.config.annotation_nodes import tensor_names
from gpu_infer.config.components import switch
from gpu_infer.config.inferer import InfererSpec, Kind, make_spec
from gpu_infer.config.location import Place, nearest, shown
from gpu_infer.config.variables import expand
from gpu_infer.transforms.base import Transform
from gpu_infer.transforms.registry import TRANSFORMS
from gpu_infer.transforms.spatial.convert_to_channels import ConvertToChannelsFirst, ConvertToChannelsLast

log = logging.getLogger(__name__)

_SETTINGS = ("roi", "batch_size", "scanning_window", "channel_first")
_WITHOUT_EFFECT = ("image_format", "additional_info")
"""Keys that have no effect: transforms decide the order of axes here, and nobody asks for the information."""

_KEYS = (*_SETTINGS, "name", "args", "image", "node_mapping", "tf", "trtis", *_WITHOUT_EFFECT)
_POINTS = "padding"
"""A key of models that crop around points of a user."""

SECTION_KEYS = (*_KEYS, _POINTS)

_BUILT_IN = ("TRTISInference", "TFInference", "PTInference", "TritonInference", "PyTorchInference")
"""Names of the server's inferences with one model; all of them run on Triton here."""

_VENDOR_ROOTS = ("ai4med", "aiaa", "nvmidl")

_USED_OF_ENGINE = ("input_nodes", "output_nodes", "input", "output", "channel_first")


def annotation_inferer(
    value: JsonValue, place: Place, environ: Mapping[str, str], input_field: str, model: str | None = None
) -> InfererSpec:
    """Make the specification from `{roi, batch_size, scanning_window, tf | trtis {input_nodes, output_nodes}}`.

    `args` may contain the settings instead. `scanning_window` defaults to true if there is a `roi`. `model` is the
    model's name if the file has one as key; `args.model_name` wins. Without both, the settings must name the model.
    Raises ConfigError.
    """
    section = _section(value, place)
    arguments = _arguments(section, place, environ)
    arguments.pop("channel_first", None)  # `channel_order` reads it
    scanning = switch(arguments.pop("scanning_window", "roi" in arguments), place / "scanning_window")
    kind: Kind = "scan" if scanning else "simple"
    roi = arguments.pop("roi", None)
    if scanning:
        arguments["roi_size"] = roi
    elif roi is not None:
        log.info("%s: %s: no effect, because scanning_window is false", place.file, (place / "roi").path)
    image = section.get("image")
    if image not in (None, input_field):
        raise (place / "image").error(
            f"found {shown(image)}, but the field that pre_transforms load is {shown(input_field)}",
            "name the same field in both",
        )
    inputs, outputs = tensor_names(section, place, input_field)
    arguments.setdefault("input_name", inputs)
    arguments.setdefault("output_name", outputs)
    arguments.setdefault("model_name", model)
    _log_keys_without_effect(section, place)
    return make_spec(_name(section, place), kind, arguments, place / "args")


def channel_order(
    value: JsonValue, place: Place, environ: Mapping[str, str], pre: tuple[Transform, ...], input_field: str
) -> tuple[Transform, ...]:
    """`pre`, and a conversion of the axes after it if `channel_first` asks for another order than it makes.

    `channel_first` stands in the section, its `args` or `trtis`. Raises ConfigError if they contradict each other.
    """
    section = _section(value, place)
    first = _arguments(section, place, environ).get("channel_first")
    engine = (place / "trtis").mapping(section.get("trtis")).get("channel_first")
    if first is None:
        where, first = place / "trtis" / "channel_first", engine
    else:
        where = place / "channel_first"
        if engine not in (None, first):
            raise where.error(f"found {shown(first)}, but trtis.channel_first is {shown(engine)}", "keep one")
    if first is None:
        return pre
    conversions = [t for t in pre if isinstance(t, (ConvertToChannelsFirst, ConvertToChannelsLast))]
    last = [t for t in conversions if input_field in t.fields][-1:]
    wanted = ConvertToChannelsFirst if switch(first, where) else ConvertToChannelsLast
    if isinstance(last[0] if last else None, ConvertToChannelsLast) is (wanted is ConvertToChannelsLast):
        return pre
    log.info("%s: %s is %s: %s follows pre_transforms", place.file, where.path, shown(first), wanted.name)
    conversion = TRANSFORMS[wanted.name](fields=[input_field])
    conversion.where = f"{where.file}: {where.path}"
    return (*pre, conversion)


def _section(value: JsonValue, place: Place) -> dict[str, JsonValue]:
    section = place.mapping(value)
    for key in section:
        if key == _POINTS and section[key] is not None:
            raise (place / key).error(
                f"found {shown(section[key])}: models that get the extreme points of a user are not supported",
                "use a model for segmentation",
            )
        if key not in SECTION_KEYS:
            raise place.error(f'unknown key "{key}"{nearest(key, _KEYS)}', f"it takes {', '.join(_KEYS)}")
    return {key: member for key, member in section.items() if member is not None}


def _arguments(section: dict[str, JsonValue], place: Place, environ: Mapping[str, str]) -> dict[str, JsonValue]:
    """The settings of the section and of its `args`, without null, with variables replaced."""
    arguments = expand((place / "args").mapping(section.get("args")), environ, place / "args")
    arguments = {key: value for key, value in arguments.items() if value is not None}
    for key in _SETTINGS:
        if key in section:
            value = expand(section[key], environ, place / key)
            if arguments.setdefault(key, value) != value:
                raise (place / key).error("stands in args as well", "keep one")
    return arguments


def _name(section: dict[str, JsonValue], place: Place) -> str:
    name = section.get("name") or ("TRTISInference" if "trtis" in section else "TFInference")
    if not isinstance(name, str):
        raise (place / "name").expected("a string", name)
    package, _, built_in = name.rpartition(".")
    if built_in not in _BUILT_IN or package.partition(".")[0] not in ("", *_VENDOR_ROOTS):
        raise (place / "name").error(
            f'unknown inference "{name}"{nearest(name, _BUILT_IN)}',
            f"expected one of {', '.join(_BUILT_IN)}: own inferences and pipelines of a server are not supported",
        )
    return built_in


def _log_keys_without_effect(section: dict[str, JsonValue], place: Place) -> None:
    """One line for keys that describe the model to the server, or that have no effect here."""
    keys = [key for key in _WITHOUT_EFFECT if key in section]
    for engine in ("tf", "trtis"):
        members = (place / engine).mapping(section.get(engine))
        keys += [f"{engine}.{key}" for key in members if key not in _USED_OF_ENGINE]
    if keys:
        log.info(
            "%s: %s: %s: no effect, the server's own description of the model counts",
            place.file,
            place.path,
            ", ".join(keys),
        )
