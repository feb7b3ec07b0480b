"""`{VAR}` in strings, filled from the environment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .place import Place

_VARIABLE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


def expand(value: Any, environ: Mapping[str, str], place: Place) -> Any:
    """`value` with every `{VAR}` in its strings (not in its keys) replaced.

    ConfigError names an undefined one.
    """
    if isinstance(value, str):

        def fill(match: re.Match[str]) -> str:
            name = match.group(1)
            if name not in environ:
                raise place.error(f"{{{name}}} is not set in the environment", f"set {name}, or write the value itself")
            return environ[name]

        return _VARIABLE.sub(fill, value)
    if isinstance(value, list):
        return [expand(v, environ, place / n) for n, v in enumerate(value)]
    if isinstance(value, dict):
        return {k: expand(v, environ, place / k) for k, v in value.items()}
    return value
