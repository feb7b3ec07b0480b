"""Read keys of nnU-Net's JSON files; an error names the file, the key, what was found and what was expected."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from gpu_infer.errors import ConfigError


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file; ConfigError if there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read: {error.strerror or error}",
            remedy="give the folder of a trained nnU-Net v2 model, which has plans.json, dataset.json and fold_0",
        ) from error
    except ValueError as error:  # bytes that are no UTF-8 among them
        raise ConfigError(f"{path}: is not JSON: {error}", remedy="copy the file again") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected an object, found {type(content).__name__}", remedy="copy the file again")
    return content


class Fields:
    """The keys of an object in a file."""

    def __init__(self, path: Path, values: Mapping[str, Any], place: str = "") -> None:
        self.path, self.values, self._place = path, values, place

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def refuse(self, key: str, expected: str, remedy: str = "gpu_infer does not import such a model") -> NoReturn:
        text = json.dumps(self.values.get(key), default=str)
        raise ConfigError(
            f"{self.path}: {self._place}{key}: found {text[:100]}, expected {expected}", remedy=remedy
        ) from None

    def text(self, key: str) -> str:
        value = self.values.get(key)
        return value if isinstance(value, str) and value else self.refuse(key, "a name")

    def section(self, key: str) -> Fields:
        value = self.values.get(key)
        if not isinstance(value, dict):
            self.refuse(key, "an object")
        return Fields(self.path, value, f"{self._place}{key}.")

    def sequence(self, key: str) -> list[Any]:
        value = self.values.get(key)
        return value if isinstance(value, list) else self.refuse(key, "a list")

    def integers(self, key: str) -> list[int]:
        values = self.sequence(key)
        if not all(isinstance(v, (int, float)) and not isinstance(v, bool) and v == int(v) for v in values):
            self.refuse(key, "whole numbers")
        return [int(v) for v in values]

    def positive_numbers(self, key: str) -> list[float]:
        values = self.sequence(key)
        if not all(is_number(v) and v > 0 for v in values):
            self.refuse(key, "positive numbers")
        return [float(v) for v in values]

    def number(self, key: str) -> float:
        value = self.values.get(key)
        if value is None or not is_number(value):
            self.refuse(key, "a number")
        return float(value)


def is_number(value: object) -> bool:
    """True for a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
