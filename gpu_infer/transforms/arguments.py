"""Types of component arguments, with messages that name what is expected.

A message begins with "expected …"; `config/arguments.py` adds the key before it and the value after it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Annotated, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict

NumberT = TypeVar("NumberT", int, float)

LARGEST = (1 << 31) - 1
"""Largest whole number: sizes, labels and counts fit into 32 bits, as Triton's and ITK's do."""

LARGEST_LABEL = (1 << 16) - 1
"""Label maps are uint8 or uint16."""

LARGEST_DEVIATION = 32
"""Of a Gaussian before a resampling, in samples: a table has 8 times as many weights for each sample of the result."""

_WHOLE = re.compile(r"-?[0-9]{1,20}")


class Arguments(BaseModel):
    """Base of every component's `Args`: frozen, and unknown arguments are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def number(value: object) -> float:
    """A finite float. Numeric strings are accepted, since `{VAR}` fills strings; booleans are not."""
    if not isinstance(value, bool) and isinstance(value, (int, float, str)):
        try:
            result = float(value)
        except (ValueError, OverflowError):
            result = math.nan
        if math.isfinite(result):
            return result
    raise ValueError("expected a finite number")


def _flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise ValueError("expected true or false")


def _integer(value: object) -> int:
    result = None
    if (isinstance(value, str) and _WHOLE.fullmatch(value.strip())) or (
        isinstance(value, float) and value.is_integer()
    ):
        result = int(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        result = value
    if result is None or abs(result) > LARGEST:
        raise ValueError("expected a whole number" if result is None else f"expected a whole number up to {LARGEST}")
    return result


def _positive_integer(value: object) -> int:
    try:
        result = _integer(value)
    except ValueError:
        result = 0
    if result < 1:
        raise ValueError("expected a whole number of at least 1")
    return result


def _triple(value: object, convert: Callable[[object], NumberT], expected: str) -> tuple[NumberT, NumberT, NumberT]:
    if isinstance(value, (list, tuple)) and len(value) == 3:
        try:
            x, y, z = (convert(v) for v in value)
        except ValueError:
            pass
        else:
            if min(x, y, z) > 0:
                return (x, y, z)
    raise ValueError(f"expected {expected}")


def _positive_triple(value: object) -> tuple[float, float, float]:
    return _triple(value, number, "3 positive numbers")


def _shape(value: object) -> tuple[int, int, int]:
    return _triple(value, _integer, "3 positive whole numbers")


def _whole_triple(value: object) -> tuple[int, int, int]:
    expected = "a whole number of at least 1, or 3 of them"
    return _triple([value] * 3 if isinstance(value, (int, float, str)) else value, _integer, expected)


def _radii(value: object) -> tuple[int, int, int]:
    values = value if isinstance(value, (list, tuple)) else [value] * 3
    if len(values) == 3:
        try:
            x, y, z = (_margin(v) for v in values)
        except ValueError:
            pass
        else:
            return (x, y, z)
    raise ValueError("expected a whole number of at least 0, or 3 of them")


def _factors(value: object) -> tuple[float, float, float]:
    expected = "a positive number, or 3 of them"
    return _triple([value] * 3 if isinstance(value, (int, float, str)) else value, number, expected)


def _deviations(value: object) -> tuple[float, float, float]:
    values = value if isinstance(value, (list, tuple)) else [value] * 3
    if len(values) == 3:
        try:
            x, y, z = (number(v) for v in values)
        except ValueError:
            pass
        else:
            if min(x, y, z) >= 0 and max(x, y, z) <= LARGEST_DEVIATION:
                return (x, y, z)
    raise ValueError(f"expected a number of 0 to {LARGEST_DEVIATION}, or 3 of them")


def _margin(value: object) -> int:
    try:
        result = _integer(value)
    except ValueError:
        result = -1
    if result < 0:
        raise ValueError("expected a whole number of at least 0")
    return result


def _numbers(value: object) -> tuple[float, ...]:
    try:
        entries = value if isinstance(value, (list, tuple)) else [value]
        if entries:
            return tuple(number(v) for v in entries)
    except ValueError:
        pass
    raise ValueError("expected a number or a list of numbers")


def _label_ids(value: object) -> tuple[int, ...]:
    try:
        entries = [_positive_integer(v) for v in (value if isinstance(value, (list, tuple)) else [value])]
    except ValueError:
        entries = []
    if not entries or len(set(entries)) != len(entries):
        raise ValueError("expected label ids of at least 1, every one once")
    return tuple(entries)


def _label_numbers(value: object) -> tuple[int, ...]:
    try:
        entries = [_integer(v) for v in (value if isinstance(value, (list, tuple)) else [value])]
    except ValueError:
        entries = []
    if not entries or not all(0 <= entry <= LARGEST_LABEL for entry in entries):
        raise ValueError(f"expected labels of 0 to {LARGEST_LABEL}")
    return tuple(entries)


def _indices(value: object) -> tuple[int, ...]:
    try:
        entries = [_integer(v) for v in (value if isinstance(value, (list, tuple)) else [value])]
    except ValueError:
        entries = []
    if not entries or min(entries) < 0 or len(set(entries)) != len(entries):
        raise ValueError("expected whole numbers of at least 0, every one once")
    return tuple(entries)


def _connectivity(value: object) -> int:
    if isinstance(value, bool) or str(value) not in ("1", "2", "3"):
        raise ValueError("expected 1 (faces), 2 (edges too) or 3 (corners too)")
    return int(str(value))


def _text(value: object) -> str:
    if isinstance(value, str) and value.strip():
        return value.strip()
    raise ValueError("expected a non-empty string")


def _names(value: object) -> tuple[str, ...]:
    entries = [value] if isinstance(value, str) else value
    if isinstance(entries, (list, tuple)) and entries and all(isinstance(v, str) and v for v in entries):
        if len(set(entries)) == len(entries):
            return tuple(entries)
        raise ValueError("expected every name once")
    raise ValueError("expected a name or a list of names")


Number = Annotated[float, BeforeValidator(number)]
Flag = Annotated[bool, BeforeValidator(_flag)]
Integer = Annotated[int, BeforeValidator(_integer)]
PositiveInteger = Annotated[int, BeforeValidator(_positive_integer)]
PositiveTriple = Annotated[tuple[float, float, float], BeforeValidator(_positive_triple)]
Shape = Annotated[tuple[int, int, int], BeforeValidator(_shape)]
Triple = Annotated[tuple[int, int, int], BeforeValidator(_whole_triple)]
"""One whole number of at least 1 for all axes, or 3."""
Radii = Annotated[tuple[int, int, int], BeforeValidator(_radii)]
"""One whole number of at least 0 for all axes, or 3."""
Factors = Annotated[tuple[float, float, float], BeforeValidator(_factors)]
"""One positive number for all axes, or 3."""
Deviations = Annotated[tuple[float, float, float], BeforeValidator(_deviations)]
"""One number from 0 to `LARGEST_DEVIATION` for all axes, or 3."""
Margin = Annotated[int, BeforeValidator(_margin)]
Numbers = Annotated[tuple[float, ...], BeforeValidator(_numbers)]
"""A number or a list of numbers; a tuple either way."""
LabelIds = Annotated[tuple[int, ...], BeforeValidator(_label_ids)]
LabelNumbers = Annotated[tuple[int, ...], BeforeValidator(_label_numbers)]
"""A label or a list of labels, 0 included; a tuple either way."""
Connectivity = Annotated[int, BeforeValidator(_connectivity)]
"""Which neighbours are connected."""
Indices = Annotated[tuple[int, ...], BeforeValidator(_indices)]
"""An index from 0 on or a list of them, every one once; a tuple either way."""
Text = Annotated[str, BeforeValidator(_text)]
Names = Annotated[tuple[str, ...], BeforeValidator(_names)]
"""A string or a list of strings; a tuple either way."""
