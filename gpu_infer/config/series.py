"""The key "series": rules that choose a series of a DICOM study."""

from __future__ import annotations

from pydantic import JsonValue

from gpu_infer.config.location import Place
from gpu_infer.volume.series_rules import RuleError, Selector, SeriesChoice, parse_rule

KEY = "series"


def read_series_rules(document: dict[str, JsonValue], place: Place) -> SeriesChoice | None:
    """The rules of the key "series" of `document`, one string or a list of them, in order; None without the key.

    Raises ConfigError, which names the rule.
    """
    value = document.get(KEY)
    if value is None:
        return None
    place = place / KEY
    if isinstance(value, str):
        return SeriesChoice((_rule(value, place),), f"{place.file}: {KEY}", is_option=False)
    if not isinstance(value, list) or not value:
        raise place.expected('a rule such as "Modality=CT, slices>20", or a list of them', value)
    rules = tuple(_rule(rule, place / n) for n, rule in enumerate(value))
    return SeriesChoice(rules, f"{place.file}: {KEY}", is_option=False)


def _rule(value: JsonValue, place: Place) -> Selector:
    if not isinstance(value, str):
        raise place.expected('a rule such as "Modality=CT, slices>20"', value)
    try:
        return parse_rule(value)
    except RuleError as error:
        raise place.error(str(error)) from None
