"""Read the file as strict JSON; errors name line and column."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from pathlib import Path

from pydantic import JsonValue

from gpu_infer.config.location import Place
from gpu_infer.errors import ConfigError
from gpu_infer.system.regular_file import read_bytes
from gpu_infer.volume.input_files import extension

FILE_NAME = "config_inference.json"


def in_folder(path: Path) -> Path:
    """The configuration in a folder, if `path` is a folder that has one; else `path`."""
    inside = path / FILE_NAME
    with suppress(OSError, ValueError):  # a folder that cannot be entered, a null character: reading reports these
        return inside if inside.is_file() else path
    return path


class _NotStrictError(ValueError):
    pass


def _unique(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    result: dict[str, JsonValue] = {}
    for key, value in pairs:
        if key in result:
            raise _NotStrictError(f'the key "{key}" stands twice in one object')
        result[key] = value
    return result


_MOST_DIGITS = 100
_DEEPEST = 32
"""Levels of nested lists and objects; the format needs six."""


def _whole_number(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise _NotStrictError(f"a number has {len(text)} digits, expected at most {_MOST_DIGITS}")
    return int(text)


def _real_number(text: str) -> float:
    if len(text) > 10 * _MOST_DIGITS:
        raise _NotStrictError(f"a number has {len(text)} characters, expected at most {10 * _MOST_DIGITS}")
    value = float(text)
    if math.isinf(value):
        raise _NotStrictError(f"{text[:40]} is beyond what a number can hold, expected at most 1.8e308")
    return value


def _constant(word: str) -> float:
    raise _NotStrictError(f"{word} is not a JSON number")


def read_document(path: Path) -> dict[str, JsonValue]:
    """The top-level object of a configuration. Raises ConfigError, with line and column if it is not strict JSON."""
    _check_kind(path)
    document = read_json(path, FILE_NAME)
    return Place(str(path)).mapping(document)


def _check_kind(path: Path) -> None:
    """Raise ConfigError if the path is a folder, or has the name of a volume."""
    with suppress(OSError, ValueError):
        if path.is_dir():
            below = path / "config"  # as `gpu-infer init` lays a folder out
            raise Place(str(path)).error(
                f"is a folder without {FILE_NAME}, expected that file or a folder with it",
                f"give {below}" if (below / FILE_NAME).is_file() else f"add {FILE_NAME} to it",
            )
    if extension(path) is not None and path.is_file():
        raise Place(str(path)).error(
            f"has the name of a volume, expected a {FILE_NAME}", "give a volume with --input, a configuration here"
        )


def read_json(path: Path, kind: str) -> JsonValue:
    """The content of a JSON file. Raises ConfigError, with line and column if it is not strict JSON.

    kind  name of such a file, for the remedy
    """
    place = Place(str(path))
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except FileNotFoundError:
        raise place.error("no such file", f"give the path of a {kind}") from None
    except UnicodeDecodeError as error:
        raise place.error(f"is not UTF-8 text (byte {error.start})", "save it as UTF-8") from None
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        raise place.error(
            f"cannot be read: {getattr(error, 'strerror', None) or error}",
            f"give a {kind} that this user may read",
        ) from None
    try:
        document: JsonValue = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_constant,
            parse_int=_whole_number,
            parse_float=_real_number,
        )
    except json.JSONDecodeError as error:
        raise place.error(f"line {error.lineno}, column {error.colno}: {error.msg}", "fix the JSON there") from None
    except _NotStrictError as error:
        raise place.error(str(error)) from None
    except RecursionError:
        raise _too_deep(place) from None
    _check_depth(document, place)
    return document


def _check_depth(document: JsonValue, place: Place) -> None:
    """Raise ConfigError for more levels than `_DEEPEST`; counts without recursion."""
    level, depth = [document], 0
    while level:
        if depth > _DEEPEST:
            raise _too_deep(place)
        depth += 1
        level = [
            member
            for value in level
            if isinstance(value, (list, dict))
            for member in (value.values() if isinstance(value, dict) else value)
        ]


def _too_deep(place: Place) -> ConfigError:
    return place.error(f"is nested too deeply, expected at most {_DEEPEST} levels", "take out the needless brackets")
