"""The names of labels: labels.json beside a configuration, the key "labels" inside it, or a file of its own."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from pydantic import JsonValue

from gpu_infer.config.document import read_json
from gpu_infer.config.location import Place
from gpu_infer.config.model_entries import ModelEntry
from gpu_infer.label_table.palette import Rgb, palette_colour
from gpu_infer.label_table.table import BACKGROUND, Code, Label, LabelTable
from gpu_infer.transforms.arguments import LARGEST_LABEL

log = logging.getLogger(__name__)

FILE_NAME = "labels.json"
KEY = "labels"
LARGEST = 2**31 - 1
LONGEST = 64
"""Characters of a name: DICOM's segment labels have no more."""

_MOST_DIGITS = 20  # leading zeros may stand before the number

_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_KEYS = ("name", "colour", "color", "category", "type", "modifier")
_CODE_KEYS = (("value", "scheme", "meaning"), ("CodeValue", "CodingSchemeDesignator", "CodeMeaning"))


def read_labels(
    config: Path, document: dict[str, JsonValue], file: Path | None = None, place: Place | None = None
) -> LabelTable:
    """The label table of a configuration; `place` is that of `document`, None for the whole file.

    The first of these that exists counts: `file`, the key "labels" of `document`, labels.json in the folder of
    `config`. Without any of them the table describes no label.

    The names are an object {"0": "background", "1": "lung"}, an object {"background": 0, "lung": 1}, or a list, whose
    first name is that of label 1, or of label 0 if it is "background". Instead of a name, an object may have `name`,
    `colour` ("#ff8000" or [255, 128, 0]) and the codes `category`, `type` and `modifier`, each as
    {"value", "scheme", "meaning"} or a list of the three. A file may have all this under the key "labels".

    Raises ConfigError, which names the file and the key.
    """
    beside = config.parent / FILE_NAME
    if file is not None:
        return _read_file(file)
    if document.get(KEY) is not None:
        if beside.is_file():
            log.info("%s: has %r, so %s is not read", config, KEY, beside)
        return _table(document[KEY], (place or Place(str(config))) / KEY)
    return _read_file(beside) if beside.is_file() else LabelTable()


def name_union(table: LabelTable, entries: Sequence[ModelEntry], place: Place) -> LabelTable:
    """`table` with the names that the models of a union give their own labels, by final label; those of `table` win.

    Raises ConfigError for names that are not those of labels of the model, or two names of one final label.
    """
    described: dict[int, Label] = {}
    for n, entry in enumerate(entries):
        where = place / n / "names"
        finals = None if entry.labels is None else dict(entry.labels)
        own = {} if entry.names is None else _table(entry.names, where).described
        for number, label in own.items():
            if number == BACKGROUND:
                continue
            final = number + (entry.offset or 0) if finals is None else finals.get(number)
            if final is None or final > LARGEST_LABEL:
                raise (where / str(number)).error(
                    "is no label of the model that has a final label", "write it into labels of this model"
                )
            if final in described and described[final].name != label.name:
                raise (where / str(number)).error(
                    f'final label {final} is "{described[final].name}" already', "give one final label one name"
                )
            if final:
                colour = palette_colour(final) if label.colour == palette_colour(number) else label.colour
                described.setdefault(final, replace(label, value=final, colour=colour))
    if not described:
        return table
    merged = dict(sorted((described | dict(table.described)).items()))
    return LabelTable(MappingProxyType(merged), table.source or place.file)


def _read_file(path: Path) -> LabelTable:
    content, place = read_json(path, FILE_NAME), Place(str(path))
    if isinstance(content, dict) and isinstance(content.get(KEY), (dict, list)):
        return _table(content[KEY], place / KEY)
    return _table(content, place)


def _table(content: JsonValue, place: Place) -> LabelTable:
    described: dict[int, Label] = {}
    for number, where, value in _numbered(content, place):
        if number in described:
            raise where.error(f"label {number} is described twice", "give every label one entry")
        described[number] = _label(number, value, where)
    return LabelTable(MappingProxyType(dict(sorted(described.items()))), place.file)


def _numbered(content: JsonValue, place: Place) -> list[tuple[int, Place, JsonValue]]:
    """(number, place, name or description) of each label."""
    if isinstance(content, list):
        first = BACKGROUND if content and str(content[0]).lower() == "background" else BACKGROUND + 1
        return [(n, place / (n - first), value) for n, value in enumerate(content, first)]
    if not isinstance(content, dict):
        raise place.expected('an object {"1": "lung"} or a list of names', content)
    if content and all(isinstance(value, int) and not isinstance(value, bool) for value in content.values()):
        return [(_number(value, place / name), place / name, name) for name, value in content.items()]
    return [(_number(key, place / key), place / key, value) for key, value in content.items()]


def _number(value: JsonValue, place: Place) -> int:
    """The number of a label, from JSON's number or from the text of a key."""
    text = str(value)
    if not (text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS and int(text) <= LARGEST):
        raise place.expected(f"the number of a label, 0 to {LARGEST}", value)
    return int(text)


def _label(number: int, value: JsonValue, place: Place) -> Label:
    if isinstance(value, str):
        return Label(number, _name(value, place), palette_colour(number))
    if not isinstance(value, dict):
        raise place.expected('a name or an object {"name": …}', value)
    if unknown := value.keys() - set(_KEYS):
        key = min(unknown)
        raise (place / key).error("unknown key", f"known are {', '.join(_KEYS)}")
    if "name" not in value:
        raise (place / "name").error("is missing", "give every label a name")
    if "colour" in value and "color" in value:
        raise place.error('"colour" and "color" exclude each other', "keep one")
    given = "color" if "color" in value else "colour"
    return Label(
        number,
        _name(value["name"], place / "name"),
        _colour(value[given], place / given) if value.get(given) is not None else palette_colour(number),
        *(_code(value.get(key), place / key) for key in ("category", "type", "modifier")),
    )


def _name(value: JsonValue, place: Place) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable() or len(value.strip()) > LONGEST:
        raise place.expected(f"a name of 1 to {LONGEST} printable characters", value)
    return value.strip()


def _colour(value: JsonValue, place: Place) -> Rgb:
    if isinstance(value, str) and _COLOUR.fullmatch(value):
        return int(value[1:3], 16), int(value[3:5], 16), int(value[5:], 16)
    if isinstance(value, list) and len(value) == 3:
        red, green, blue = (v if type(v) is int and 0 <= v <= 255 else None for v in value)
        if red is not None and green is not None and blue is not None:
            return red, green, blue
    raise place.expected('a colour "#rrggbb" or three numbers from 0 to 255', value)


def _code(value: JsonValue, place: Place) -> Code | None:
    if value is None:
        return None
    parts: list[JsonValue] = []
    if isinstance(value, list):
        parts = value
    elif isinstance(value, dict):
        keys = next((keys for keys in _CODE_KEYS if value.keys() == set(keys)), ())
        parts = [value[key] for key in keys]
    texts = [part.strip() if isinstance(part, str) and part.isprintable() else "" for part in parts]
    if len(texts) != 3 or not all(1 <= len(text) <= LONGEST for text in texts):
        raise place.expected('a code {"value": "39607008", "scheme": "SCT", "meaning": "Lung"}', value)
    return Code(*texts)
