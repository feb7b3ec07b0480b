"""Validate arguments of components; each mistake gives one line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from gpu_infer.config.expected import expectation
from gpu_infer.config.location import Place, nearest, shown
from gpu_infer.errors import ConfigError

T = TypeVar("T")


def build(
    make: Callable[..., T], model: type[BaseModel], arguments: Mapping[str, object], place: Place, owner: str
) -> T:
    """Call `make(**arguments)` and turn what `model` refuses into one line.

    A field of `model` with a description has one message for all its mistakes: "expected <description>".

    Args:
        make: the class or function, which validates its arguments by `model`.
        model: the pydantic model of the arguments.
        arguments: by name; null counts as not given.
        place: the place of the arguments in the file.
        owner: name of the component.

    Raises:
        ConfigError: `model` refuses the arguments.
    """
    values = {k: v for k, v in arguments.items() if v is not None}
    try:
        return make(**values)
    except ValidationError as error:
        # A misspelt argument is unknown and its real name is missing: the first says more.
        details = sorted(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
        known = {f.alias or name: f.description for name, f in model.model_fields.items()}
        refusal = _wrong_name(details[0], list(known), owner)
        others = {e["loc"][:1] for e in details} - {details[0]["loc"][:1]}
        more = f" (and {len(others)} more)" if others else ""
        if refusal is not None:
            text, remedy = refusal
            raise place.error(text + more, remedy) from None
        name = str(details[0]["loc"][0]) if details[0]["loc"] else ""
        if (description := known.get(name)) is not None:
            raise (place / name).error(f"expected {description}, found {shown(values[name])}{more}") from None
        raise _wrong_value(details[0], place, more) from None


def _wrong_name(error: ErrorDetails, known: list[str], owner: str) -> tuple[str, str] | None:
    """Text and remedy if an argument is unknown or missing."""
    takes = f"it takes {', '.join(known)}" if known else "it takes no arguments"
    if error["type"] == "extra_forbidden":
        name = str(error["loc"][0])
        return f'{owner} has no argument "{name}"{nearest(name, known)}', takes
    if error["type"] == "missing" and isinstance(error["loc"][-1], str):  # a number is the index of an element
        return f'{owner} needs the argument "{error["loc"][-1]}"', takes
    return None


def _wrong_value(error: ErrorDetails, place: Place, more: str) -> ConfigError:
    for key in error["loc"]:
        place = place / key
    end = f", found {shown(error['input'])}{more}"
    if error["type"] == "value_error":
        text = str(error["ctx"]["error"])
        return place.error(text + (end if text.startswith("expected") else more))
    return place.error(expectation(error) + end)
