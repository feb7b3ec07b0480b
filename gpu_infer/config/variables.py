"""`{VAR}` in strings, replaced from the environment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import overload

from pydantic import JsonValue

from gpu_infer.config.location import Place
from gpu_infer.redaction import hide_values

_VARIABLE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


@overload
def expand(value: str, environ: Mapping[str, str], place: Place) -> str: ...
@overload
def expand(value: dict[str, JsonValue], environ: Mapping[str, str], place: Place) -> dict[str, JsonValue]: ...
@overload
def expand(value: JsonValue, environ: Mapping[str, str], place: Place) -> JsonValue: ...
def expand(value: JsonValue, environ: Mapping[str, str], place: Place) -> JsonValue:
    """Replace every `{VAR}` in the strings of `value`, not in its keys.

    A string with a variable becomes a `redaction.Expanded`, so that messages show the variable's name.
    Raises ConfigError with the name of a variable that is not set.
    """
    if isinstance(value, str):
        values: dict[str, str] = {}

        def fill(match: re.Match[str]) -> str:
            name = match.group(1)
            if name not in environ:
                raise place.error(f"{{{name}}} is not set in the environment", f"set {name}, or write the value itself")
            values[name] = environ[name]
            return environ[name]

        text = _VARIABLE.sub(fill, value)
        return hide_values(text, value, values) if values else value
    if isinstance(value, list):
        return [expand(v, environ, place / n) for n, v in enumerate(value)]
    if isinstance(value, dict):
        return {k: expand(v, environ, place / k) for k, v in value.items()}
    return value
