"""The annotation server's form of a configuration: an `inference` section instead of `inferer`."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from gpu_infer.config.inferer import InfererSpec, Kind, make_spec
from gpu_infer.config.location import Place, nearest
from gpu_infer.config.variables import expand
from gpu_infer.transforms.chain.checks import DEFAULT_RESULT

_SETTINGS = ("roi", "batch_size", "scanning_window")
_KEYS = (
    *_SETTINGS,
    "name",
    "args",
    "image",
    "image_format",
    "node_mapping",
    "additional_info",
    "tf",
    "trtis",
)


def annotation_inferer(value: JsonValue, place: Place, environ: Mapping[str, str], input_field: str) -> InfererSpec:
    """Make the specification from `{roi, batch_size, scanning_window, tf | trtis {input_nodes, output_nodes}}`.

    `args` may contain the settings instead. `scanning_window` defaults to true if there is a `roi`. Tensor names come
    from `node_mapping`, or from the engine's `input_nodes` and `output_nodes`. This form does not name the model, so
    the settings must name it. Raises ConfigError.
    """
    section = place.mapping(value)
    for key in section:
        if key not in _KEYS:
            raise place.error(f'unknown key "{key}"{nearest(key, _KEYS)}', f"it takes {', '.join(_KEYS)}")
    arguments = expand((place / "args").mapping(section.get("args")), environ, place / "args")
    for key in _SETTINGS:
        if key in section:
            if key in arguments:
                raise (place / key).error("stands in args as well", "keep one")
            arguments[key] = expand(section[key], environ, place / key)
    scanning = arguments.pop("scanning_window", "roi" in arguments)
    if isinstance(scanning, str) and scanning.lower() in ("true", "false"):
        scanning = scanning.lower() == "true"
    if not isinstance(scanning, bool):
        raise (place / "scanning_window").expected("true or false", scanning)
    kind: Kind = "scan" if scanning else "simple"
    roi = arguments.pop("roi", None)
    if scanning:
        arguments["roi_size"] = roi
    inputs, outputs = _nodes(section, place, input_field)
    arguments.setdefault("input_name", inputs)
    arguments.setdefault("output_name", outputs)
    name = section.get("name") or ("TRTISInference" if "trtis" in section else "TFInference")
    if not isinstance(name, str):
        raise (place / "name").expected("a string", name)
    return make_spec(name, kind, arguments, place / "args")


def _nodes(section: dict[str, JsonValue], place: Place, input_field: str) -> tuple[str | None, str | None]:
    """Names of the model's input and output tensor, None if the section does not name them."""
    if "tf" in section and "trtis" in section:
        raise place.error('"tf" and "trtis" exclude each other', "keep the one that was in use")
    engine_key = "tf" if "tf" in section else "trtis"
    engine = (place / engine_key).mapping(section.get(engine_key))
    inputs = _tensors(engine, "input", place / engine_key)
    outputs = _tensors(engine, "output", place / engine_key)
    mapping = (place / "node_mapping").mapping(section.get("node_mapping"))
    for left, right in mapping.items():
        # Both directions are in use: tensor → field and field → tensor.
        tensor, field = (right, left) if left in (input_field, DEFAULT_RESULT) else (left, right)
        names = inputs if field == input_field else outputs
        if str(tensor) not in names:
            names.append(str(tensor))
    for names, what in ((inputs, "input"), (outputs, "output")):
        if len(names) > 1:
            raise place.error(f"one {what} tensor is supported, found {', '.join(names)}")
    return next(iter(inputs), None), next(iter(outputs), None)


def _tensors(engine: dict[str, JsonValue], side: str, place: Place) -> list[str]:
    """Names from `input_nodes` {field: tensor}, or from Triton's own `input` [{name, …}]."""
    nodes = f"{side}_nodes"
    if nodes in engine:
        return [str(tensor) for tensor in (place / nodes).mapping(engine[nodes]).values()]
    entries = engine.get(side, [])
    entries = entries if isinstance(entries, list) else [entries]
    tensors = [(place / side / n).mapping(entry) for n, entry in enumerate(entries)]
    return [str(tensor["name"]) for tensor in tensors if "name" in tensor]
