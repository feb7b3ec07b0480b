"""Validating arguments, with one line per mistake."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from gpu_infer.config.location import Place, nearest, shown
from gpu_infer.errors import ConfigError

T = TypeVar("T")

_EXPECTED = {
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "a string",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "an object {…}",
    "model_type": "an object {…}",
}


def build(make: Callable[..., T], model: type[BaseModel], arguments: Mapping[str, Any], place: Place, owner: str) -> T:
    """`make(**arguments)`; ConfigError where `model`, which validates them, refuses.

    `owner` is the component's name. A null argument counts as not given.
    """
    given = {k: v for k, v in arguments.items() if v is not None}
    try:
        return make(**given)
    except ValidationError as error:
        # A misspelt argument is unknown and its real name missing: the first says more.
        details = sorted(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
        raise _refusal(details[0], len(details) - 1, model, place, owner) from None


def _refusal(error: ErrorDetails, more: int, model: type[BaseModel], place: Place, owner: str) -> ConfigError:
    location = place
    for key in error["loc"]:
        location = location / key
    known = [f.alias or name for name, f in model.model_fields.items()]
    kind, further = error["type"], f" (and {more} more)" if more else ""
    if kind == "extra_forbidden":
        name = str(error["loc"][0])
        has = f"it takes {', '.join(known)}" if known else "it takes no arguments"
        return place.error(f'{owner} has no argument "{name}"{nearest(name, known)}{further}', has)
    if kind == "missing":
        name = str(error["loc"][-1])
        return place.error(f'{owner} needs the argument "{name}"{further}', f"it takes {', '.join(known)}")
    if kind == "value_error":
        text = str(error["ctx"]["error"])
        found = f", found {shown(error['input'])}" if text.startswith("expected") else ""
        return location.error(text + found + further)
    if kind in _EXPECTED:
        return location.error(f"expected {_EXPECTED[kind]}, found {shown(error['input'])}{further}")
    return location.error(f"{error['msg'][:1].lower()}{error['msg'][1:]}, found {shown(error['input'])}{further}")
