"""`{VAR}` in strings, filled from the environment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gpu_infer.config.location import Place
from gpu_infer.redaction import hide_values

_VARIABLE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


def expand(value: Any, environ: Mapping[str, str], place: Place) -> Any:
    """`value` with every `{VAR}` in its strings (not in its keys) replaced.

    ConfigError names an undefined one. Such a string is `redaction.Expanded`: messages show the variable's name.
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
