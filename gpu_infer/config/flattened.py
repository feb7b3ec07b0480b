"""Flattened copies of the `inference` section: `inference_roi` repeats `inference.roi`."""

from __future__ import annotations

import copy
import logging

from pydantic import JsonValue

from gpu_infer.config.annotation_server import SECTION_KEYS
from gpu_infer.config.location import Place, shown

log = logging.getLogger(__name__)

_PREFIX = "inference_"
_NESTED = ("args", "tf", "trtis")
"""Objects of the section whose members have copies too: `inference_tf_input_nodes`."""


def merge_copies(document: dict[str, JsonValue], place: Place) -> dict[str, JsonValue]:
    """The document without flattened copies; a value that its `inference` section lacks comes from the copy.

    An annotation server adds the copies when it exports a model. A copy that is null repeats nothing. Raises
    ConfigError if a copy contradicts the section.
    """
    copies = {key: value for key, value in document.items() if key.startswith(_PREFIX)}
    if not copies or "inferer" in document:
        return document
    section = copy.deepcopy((place / "inference").mapping(document.get("inference")))
    for key in sorted(copies):  # `inference_tf` before `inference_tf_input_nodes`
        if copies[key] is not None:
            _merge(section, key, copies[key], place)
    log.info("%s: %d keys %s… repeat the section inference", place.file, len(copies), _PREFIX)
    return {**{key: value for key, value in document.items() if key not in copies}, "inference": section}


def _merge(section: dict[str, JsonValue], key: str, value: JsonValue, place: Place) -> None:
    """Compare one copy with its value in the section or in `args`; put it in if there is none."""
    where, name, members = place / "inference", key.removeprefix(_PREFIX), section
    for nested in _NESTED:
        if name.startswith(f"{nested}_"):
            where, name = where / nested, name.removeprefix(f"{nested}_")
            members = where.mapping(section.get(nested))
            section[nested] = members
    args = (place / "inference" / "args").mapping(section.get("args"))
    if members is section and name in args:
        where, members = where / "args", args
    if members is section and name not in SECTION_KEYS:
        return
    known = members.get(name)
    if isinstance(known, dict) and isinstance(value, dict):
        # The server adds the defaults of an engine to one of the two.
        members[name] = merged = {**value, **known}
        agrees = all(merged[member] == value[member] for member in value)
    else:
        agrees = known in (None, value)
        members[name] = value
    if not agrees:
        raise (place / key).error(
            f"found {shown(value)}, but {where.path}.{name} is {shown(known)}", "make both the same, or remove one"
        )
