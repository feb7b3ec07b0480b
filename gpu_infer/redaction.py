"""Hide values that `{VAR}` filled into a configuration: errors, logs and reports show the variable's name instead."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from gpu_infer.errors import escape

SHORTEST = 4
"""Characters of the shortest value that is hidden: a digit occurs in every text, and no secret is as short."""

_SHORT = 8
"""Characters below which a value is hidden only if it stands alone, not inside a longer word or number."""

_OWN_WORDS = (
    *("true", "false", "http", "grpc", "clara", "monai", "nnunet", "constant", "gaussian", "linear", "nearest"),
    *("uint8", "uint16", "uint32", "int8", "int16", "int32", "float32"),
    *("nii.gz", "nrrd", "seg.nrrd"),
)
"""Values that configurations choose from; they are never hidden, because reports need them."""

_templates: dict[str, str] = {}
"""Text to hide → its replacement."""

_stand_ins: dict[str, str] = {}
"""Path of a temporary folder → the path that users know."""


class Expanded(str):
    """A string with values of the environment in it; `template` is the string in the configuration file."""

    template: str


def hide_values(text: str, template: str, values: dict[str, str]) -> Expanded:
    """Hide `text` and every single value in it from now on.

    values  of the environment, by the names of the variables in `template`
    """
    result = Expanded(text)
    result.template = template
    for value, name in [(text, template), *((value, f"{{{variable}}}") for variable, value in values.items())]:
        stripped = value.strip()
        if len(stripped) >= SHORTEST and stripped.lower() not in _OWN_WORDS:
            forms = (json.dumps(stripped)[1:-1], repr(stripped)[1:-1], escape(stripped), " ".join(stripped.split()))
            for form in (stripped, *forms):
                _templates[form] = name
    return result


def show_as(text: str, replacement: str) -> None:
    """Show `replacement` instead of the path `text` from now on: a temporary folder stands for another file."""
    _stand_ins[text] = replacement


def shown_path(text: str) -> str:
    """Replace the paths of `show_as` in `text`, and nothing else."""
    for path, replacement in _stand_ins.items():
        text = text.replace(path, replacement)
    return text


def reported_path(path: Path) -> str:
    """`path` for a report: absolute, because whoever reads the report may be in another folder; as `shown_path`."""
    return str(Path(shown_path(str(path))).absolute())


def template(value: Any) -> Any:
    """`value` as it is in the configuration file; lists and objects are converted recursively."""
    if isinstance(value, Expanded):
        return value.template
    if isinstance(value, (list, tuple)):
        return [template(v) for v in value]
    if isinstance(value, dict):
        return {k: template(v) for k, v in value.items()}
    return value


def redact(text: str) -> str:
    """Replace every hidden value in `text` by its variable's name, the longest value first."""
    text = shown_path(text)
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
    """Apply `redact` to every string of nested lists and objects; keys stay as they are."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, (list, tuple)):
        return [redact_all(v) for v in value]
    if isinstance(value, dict):
        return {k: redact_all(v) for k, v in value.items()}
    return value
