"""Reading the file: strict JSON, with line and column where it is broken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .place import Place


class _NotStrictError(ValueError):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise _NotStrictError(f'the key "{key}" stands twice in one object')
        result[key] = value
    return result


def _constant(word: str) -> float:
    raise _NotStrictError(f"{word} is not a JSON number")


def read_document(path: Path) -> dict[str, Any]:
    """The file's top-level object; ConfigError with line and column where it is not strict JSON."""
    place = Place(path.name)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise place.error(f"no such file: {path}", "name the configuration with --config") from None
    except UnicodeDecodeError as error:
        raise place.error(f"is not UTF-8 text (byte {error.start})", "save it as UTF-8") from None
    except OSError as error:
        raise place.error(
            f"{path} cannot be read: {error.strerror or error}", "give a config_inference.json that this user may read"
        ) from None
    try:
        document = json.loads(text, object_pairs_hook=_unique, parse_constant=_constant)
    except json.JSONDecodeError as error:
        raise place.error(f"line {error.lineno}, column {error.colno}: {error.msg}", "mend the JSON there") from None
    except (_NotStrictError, RecursionError) as error:
        raise place.error(str(error) or "nested too deeply") from None
    return place.mapping(document)
