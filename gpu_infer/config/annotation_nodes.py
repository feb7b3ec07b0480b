"""Names of the model's tensors in an annotation server's `inference` section."""

from __future__ import annotations

import logging

from pydantic import JsonValue

from gpu_infer.config.location import Place
from gpu_infer.transforms.chain.checks import DEFAULT_RESULT

log = logging.getLogger(__name__)


def tensor_names(section: dict[str, JsonValue], place: Place, input_field: str) -> tuple[str | None, str | None]:
    """Names of the model's input and output tensor, None if the section does not name them.

    They come from `node_mapping`, and from `input_nodes` and `output_nodes` of `trtis` or `tf`. If both engines are
    there, `trtis` wins, because the model is served by Triton, and `tf` names what `trtis` does not. Raises
    ConfigError for several tensors of one side.
    """
    if "trtis" in section and "tf" in section:
        log.info("%s: %s: trtis wins over tf, since Triton serves the model", place.file, place.path)
    return _tensor_name(section, place, input_field, "input"), _tensor_name(section, place, input_field, "output")


def _tensor_name(section: dict[str, JsonValue], place: Place, input_field: str, side: str) -> str | None:
    named: list[str] = []
    for key in ("trtis", "tf"):
        engine = (place / key).mapping(section.get(key))
        channels = f"{side}_channels"
        fields = list((place / key / channels).mapping(engine.get(channels)))
        if len(fields) > 1:
            raise (place / key / channels).error(f"one {side} tensor is supported, found {', '.join(fields)}")
        named = named or _tensors(engine, side, place / key)
    tensors = list(dict.fromkeys([*named, *_mapped(section, place, input_field, side)]))
    if len(tensors) > 1:
        raise place.error(f"one {side} tensor is supported, found {', '.join(tensors)}")
    return next(iter(tensors), None)


def _tensors(engine: dict[str, JsonValue], side: str, place: Place) -> list[str]:
    """Names from `input_nodes` {field: tensor}, or from Triton's own `input` [{name, …}]."""
    nodes = f"{side}_nodes"
    if nodes in engine:
        return [
            _name(tensor, place / nodes / field) for field, tensor in (place / nodes).mapping(engine[nodes]).items()
        ]
    entries = engine.get(side, [])
    entries = entries if isinstance(entries, list) else [entries]
    tensors = [(place / side / n).mapping(entry) for n, entry in enumerate(entries)]
    return [_name(tensor["name"], place / side / n / "name") for n, tensor in enumerate(tensors) if "name" in tensor]


def _mapped(section: dict[str, JsonValue], place: Place, input_field: str, side: str) -> list[str]:
    """Names in `node_mapping`; both directions are in use: tensor → field and field → tensor."""
    names: list[str] = []
    mapping = (place / "node_mapping").mapping(section.get("node_mapping"))
    for left, right in mapping.items():
        tensor, field = (right, left) if left in (input_field, DEFAULT_RESULT) else (left, right)
        if (field == input_field) is (side == "input"):
            names.append(_name(tensor, place / "node_mapping" / left))
    return names


def _name(tensor: JsonValue, place: Place) -> str:
    if not isinstance(tensor, str) or not tensor:
        raise place.expected("the name of a tensor", tensor)
    return tensor
