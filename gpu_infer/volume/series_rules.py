"""Which series of a DICOM study to take: by its number in the list, its UID, or a rule about its header.

A rule is a list of conditions, `Modality=CT, ImageType~ORIGINAL, slices>20`, all of which must hold.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from gpu_infer.errors import ConfigError

SLICES, SPACING = "slices", "spacing"
"""Keys besides the keywords of DICOM: the number of slices, and their distance in mm."""

OPERATORS = ("!=", ">=", "<=", "=", "~", ">", "<")
_ORDER = (">=", "<=", ">", "<")
_CONDITION = re.compile(r'\s*([A-Za-z0-9]*)\s*(!=|>=|<=|=|~|>|<)\s*("[^"]*"|[^,"]*)\s*')
_UID = re.compile(r"[012](\.[0-9]+)+")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_EXAMPLE = "Modality=CT, ImageType~ORIGINAL, slices>20"
LONGEST = 1000
"""Characters of a rule."""


class RuleError(ValueError):
    """A rule that cannot be meant; the message says what was found and what was expected."""


class Condition(NamedTuple):
    key: str
    operator: str
    value: str


class SeriesFacts(Protocol):
    """What rules ask about a series; see `StudySeries`."""

    @property
    def slices(self) -> int: ...

    @property
    def spacing(self) -> float | None: ...

    def values(self, keyword: str) -> tuple[str, ...]: ...


@dataclass(frozen=True)
class Selector:
    """One way to choose a series: a number, a UID, or conditions; the other two are None or empty."""

    text: str
    number: int | None = None
    uid: str | None = None
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True)
class SeriesChoice:
    """Selectors that are tried in order, and the option or the key of the configuration that they are from."""

    selectors: tuple[Selector, ...]
    source: str
    is_option: bool


def parse_selector(text: str) -> Selector:
    """Parse a number, a UID or a rule. Raises `RuleError`."""
    plain = text.strip()
    if re.fullmatch("[0-9]{1,9}", plain) and int(plain) > 0:
        return Selector(plain, number=int(plain))
    if _UID.fullmatch(plain):
        return Selector(plain, uid=plain)
    return parse_rule(text)


def series_of_option(text: str) -> SeriesChoice:
    """The choice of the option `--series`. Raises `ConfigError`."""
    try:
        return SeriesChoice((parse_selector(text),), "--series", is_option=True)
    except RuleError as error:
        raise ConfigError(
            f"--series: {error}", remedy="give a number of the list of gpu-infer series, a UID or a rule"
        ) from None


def parse_rule(text: str) -> Selector:
    """Parse conditions that are separated by commas; a value with a comma is in double quotes. Raises `RuleError`."""
    if not text.strip() or len(text) > LONGEST:
        raise RuleError(f"found {text[:40]!r}, expected conditions such as {_EXAMPLE}")
    conditions: list[Condition] = []
    at = 0
    while True:
        match = _CONDITION.match(text, at)
        if match is None or (match.end() < len(text) and text[match.end()] != ","):
            raise RuleError(f"found {text[at:].strip()[:80]!r}, expected a condition such as Modality=CT or slices>20")
        conditions.append(_condition(*match.groups()))
        at = match.end() + 1
        if at > len(text):
            return Selector(text.strip(), conditions=tuple(conditions))


def fits(conditions: tuple[Condition, ...], series: SeriesFacts) -> bool:
    """Whether all conditions hold for `series`."""
    return all(_holds(condition, _values(condition.key, series)) for condition in conditions)


def _condition(key: str, operator: str, value: str) -> Condition:
    value = value[1:-1] if value.startswith('"') else value.strip()
    if not value.strip():
        raise RuleError(f"found {key}{operator} without a value, expected one such as {_EXAMPLE}")
    if operator in _ORDER and number(value) is None:
        raise RuleError(f"found {key}{operator}{value[:40]}, expected a number after {operator}")
    if key in (SLICES, SPACING):
        if operator == "~" or number(value) is None:
            raise RuleError(f"found {key}{operator}{value[:40]}, expected a number, as in slices>20")
        return Condition(key, operator, value)
    from gpu_infer.volume.formats.dicom.texts import keyword_problem

    if (problem := keyword_problem(key)) is not None:
        raise RuleError(f"{problem}, expected a keyword of DICOM, slices or spacing")
    return Condition(key, operator, value)


def _values(key: str, series: SeriesFacts) -> tuple[str, ...]:
    if key == SLICES:
        return (str(series.slices),)
    if key == SPACING:
        return () if series.spacing is None else (f"{series.spacing:.6g}",)
    return series.values(key)


def _holds(condition: Condition, values: tuple[str, ...]) -> bool:
    key, operator, wanted = condition
    if operator in ("=", "!="):
        return any(_equal(key, value, wanted) for value in values) == (operator == "=")
    if operator == "~":
        return wanted.casefold() in "\\".join(values).casefold()
    limit, numbers = number(wanted), [number(value) for value in values]
    if limit is None or not numbers:
        return False
    return all(n is not None and _compare(n, operator, limit) for n in numbers)


def _equal(key: str, value: str, wanted: str) -> bool:
    """Compare text without case; numbers by value, but only of elements that hold numbers: a PatientID 007 is not 7."""
    if _is_numeric(key):
        left, right = number(value), number(wanted)
        if left is not None and right is not None:
            return left == right
    return value.strip().casefold() == wanted.strip().casefold()


def _is_numeric(key: str) -> bool:
    if key in (SLICES, SPACING):
        return True
    from gpu_infer.volume.formats.dicom.texts import is_numeric

    return is_numeric(key)


def _compare(value: float, operator: str, limit: float) -> bool:
    if operator == ">":
        return value > limit
    if operator == "<":
        return value < limit
    return value >= limit if operator == ">=" else value <= limit


def number(text: str) -> float | None:
    """The number that `text` is, None if it is none or infinite."""
    value = float(text) if _NUMBER.fullmatch(text.strip()) else math.nan
    return value if math.isfinite(value) else None
