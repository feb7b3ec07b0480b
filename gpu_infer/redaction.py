"""Values that `{VAR}` filled into a configuration: errors, logs and reports show the variable's name in their place."""

from __future__ import annotations

import json
import re
from typing import Any

from gpu_infer.errors import escape

SHORTEST = 4
"""Characters: shorter values (a digit, an axis) would be found everywhere in a text, and no secret is as short."""

_SHORT = 8
"""Characters below which a value must stand alone, not inside a longer word or number."""

_OWN_WORDS = (
    *("true", "false", "http", "grpc", "clara", "monai", "nnunet", "constant", "gaussian", "linear", "nearest"),
    *("uint8", "uint16", "uint32", "int8", "int16", "int32", "float32"),
)
"""Values that configurations choose from; a report must still say them."""

_templates: dict[str, str] = {}
"""Text to hide → what stands in its place."""


class Expanded(str):
    """A string with environment values in it; `template` is what the configuration says."""

    template: str


def expanded(text: str, template: str, values: dict[str, str]) -> Expanded:
    """`text`, hidden from now on; `values` are those of the variables in `template`."""
    result = Expanded(text)
    result.template = template
    for value, name in [(text, template), *((value, f"{{{variable}}}") for variable, value in values.items())]:
        stripped = value.strip()
        if len(stripped) >= SHORTEST and stripped.lower() not in _OWN_WORDS:
            forms = (json.dumps(stripped)[1:-1], repr(stripped)[1:-1], escape(stripped), " ".join(stripped.split()))
            for form in (stripped, *forms):
                _templates[form] = name
    return result


def template(value: Any) -> Any:
    """`value` as the configuration says it, lists and objects included."""
    if isinstance(value, Expanded):
        return value.template
    if isinstance(value, (list, tuple)):
        return [template(v) for v in value]
    if isinstance(value, dict):
        return {k: template(v) for k, v in value.items()}
    return value


def redact(text: str) -> str:
    """`text` with the variable's name in place of each value, the longest first."""
    for value in sorted(_templates, key=len, reverse=True):
        if value not in text:
            continue
        name = _templates[value]
        if len(value) >= _SHORT:
            text = text.replace(value, name)
        else:
            text = re.sub(rf"(?<![0-9A-Za-z]){re.escape(value)}(?![0-9A-Za-z])", name.replace("\\", r"\\"), text)
    return text


def redact_all(value: Any) -> Any:
    """`redact` on every string of nested lists and objects, keys not included."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, (list, tuple)):
        return [redact_all(v) for v in value]
    if isinstance(value, dict):
        return {k: redact_all(v) for k, v in value.items()}
    return value
