"""Resolve the `@references` of a bundle's configuration, and the constants among its `$expressions`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from gpu_infer.errors import ConfigError
from gpu_infer.imports.bundle.expression import Unknown, evaluate

_SEPARATOR = "::"
_MOST = 500_000
_REFERENCE = re.compile(r"@(\w*(?:::\w*)*)")
_MACRO_FILE = re.compile(r"(.*\.(?:json|yaml|yml))(?:::(.*))?", re.IGNORECASE)


class Resolver:
    """The items of one configuration by their ids, such as `preprocessing::transforms::0` (or with `#`).

    A leading separator counts from the item itself: in `a::b::c`, `@::x` is `a::b::x` and `@::::x` is `a::x`.
    A macro, `%x::y` or `%file.json::x::y`, stands for the text of an item of this or another file.

    document    the content of `file`, which is named in errors
    read_other  reads another file that a macro names
    """

    def __init__(self, document: dict[str, Any], file: str, read_other: Callable[[str], dict[str, Any]]) -> None:
        self._document = document
        self._file = file
        self._read_other = read_other
        self._values: dict[str, Any] = {}
        self._sizes: dict[str, int] = {}
        self._open: list[str] = []
        self._size = 0

    def value(self, item: str) -> Any:
        """The value of an item, with Unknown for each part that needs the bundle to run.

        Raises ConfigError for an item that does not exist, a macro inside one, or references in a circle.
        """
        item = item.replace("#", _SEPARATOR)
        if item in self._values:
            self._count(self._sizes[item])
            return self._values[item]
        if item in self._open:
            circle = " → ".join([*self._open, item])
            raise ConfigError(f"{self._file}: {circle}: references in a circle", remedy="correct the bundle")
        before = self._size
        self._open.append(item)
        try:
            self._values[item] = self._resolve(self._raw(item), item)
        except RecursionError as error:
            raise ConfigError(
                f"{self._file}: {item}: nested too deeply, or references in a circle", remedy="correct the bundle"
            ) from error
        finally:
            self._open.pop()
        self._sizes[item] = self._size - before
        return self._values[item]

    def _count(self, size: int) -> None:
        """Refuse lists of references to lists of references and so on: their values grow without end."""
        self._size += size
        if self._size > _MOST:
            raise ConfigError(
                f"{self._file}: {self._open[0] if self._open else 'it'} has more than {_MOST} values",
                remedy="correct the bundle",
            )

    def __contains__(self, item: str) -> bool:
        try:
            self._raw(item.replace("#", _SEPARATOR))
        except ConfigError:
            return False
        return True

    def _raw(self, item: str) -> Any:
        node: Any = self._document
        keys = item.split(_SEPARATOR)
        for depth, key in enumerate(keys):
            if isinstance(node, str) and node.startswith("%"):
                node = self._macro(node, _SEPARATOR.join(keys[:depth]))
            if isinstance(node, str) and (reference := _REFERENCE.fullmatch(node.replace("#", _SEPARATOR))):
                node = self._raw(reference[1])
            if isinstance(node, dict) and key in node:
                node = node[key]
            elif isinstance(node, list) and key.isdecimal() and int(key) < len(node):
                node = node[int(key)]
            else:
                user = f", which {self._open[-1]} refers to" if self._open and self._open[-1] != item else ""
                raise ConfigError(f"{self._file}: there is no {item}{user}", remedy="correct the bundle")
        return node

    def _resolve(self, raw: Any, item: str) -> Any:
        self._count(1)
        if isinstance(raw, dict):
            return {key: self._resolve(value, f"{item}{_SEPARATOR}{key}") for key, value in raw.items()}
        if isinstance(raw, list):
            return [self._resolve(value, f"{item}{_SEPARATOR}{n}") for n, value in enumerate(raw)]
        if not isinstance(raw, str):
            return raw
        if raw.startswith("%"):
            return self._resolve(self._macro(raw, item), item)
        text = raw.replace("#", _SEPARATOR)
        if reference := _REFERENCE.fullmatch(text):
            return self.value(_absolute(reference[1], item))
        return self._expression(text[1:], item) if text.startswith("$") else raw

    def _macro(self, raw: str, item: str) -> Any:
        """The text that a macro stands for, as written there; MONAI replaces no macro inside it."""
        text = raw[1:].replace("#", _SEPARATOR)
        other = _MACRO_FILE.fullmatch(text)
        target = _absolute(text, item) if other is None else other[2]
        place = f"{self._file}: {item}: {raw}"
        node: Any = self._document if other is None else self._read_other(other[1])
        for key in target.split(_SEPARATOR) if target else ():
            if isinstance(node, dict) and key in node:
                node = node[key]
            elif isinstance(node, list) and key.isdecimal() and int(key) < len(node):
                node = node[int(key)]
            else:
                raise ConfigError(f"{place}: there is no such item", remedy="correct the bundle")
        if _has_macro(node):
            raise ConfigError(f"{place}: it contains another macro", remedy="write its text in its place")
        return node

    def _expression(self, text: str, item: str) -> Any:
        names: dict[str, Any] = {}

        def name(reference: re.Match[str]) -> str:
            variable = f"reference_{len(names)}"
            target = _absolute(reference[1], item)
            names[variable] = self.value(target) if target in self else Unknown(f"@{target}")
            return variable

        value = evaluate(_REFERENCE.sub(name, text), names)
        return Unknown(f"${text}") if isinstance(value, Unknown) else value


def _has_macro(node: Any) -> bool:
    if isinstance(node, dict):
        return any(_has_macro(value) for value in node.values())
    if isinstance(node, list):
        return any(_has_macro(value) for value in node)
    return isinstance(node, str) and node.startswith("%")


def _absolute(reference: str, item: str) -> str:
    name = reference
    while name.startswith(_SEPARATOR):
        name = name[len(_SEPARATOR) :]
    levels = (len(reference) - len(name)) // len(_SEPARATOR)
    return _SEPARATOR.join([*item.split(_SEPARATOR)[:-levels], name]) if levels else name
