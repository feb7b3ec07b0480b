"""Resolve the `@references` of a bundle's configuration, and the constants among its `$expressions`."""

from __future__ import annotations

import re
from typing import Any

from gpu_infer.errors import ConfigError
from gpu_infer.imports.bundle.expression import Unknown, evaluate

_SEPARATOR = "::"
_REFERENCE = re.compile(r"@(\w*(?:::\w*)*)")


class Resolver:
    """The items of one configuration by their ids, such as `preprocessing::transforms::0` (or with `#`).

    A leading separator counts from the item itself: in `a::b::c`, `@::x` is `a::b::x` and `@::::x` is `a::x`.
    """

    def __init__(self, document: dict[str, Any], file: str) -> None:
        self._document = document
        self._file = file
        self._values: dict[str, Any] = {}
        self._open: list[str] = []

    def value(self, item: str) -> Any:
        """The value of an item, with Unknown for each part that needs the bundle to run.

        Raises ConfigError for an item that does not exist, a macro, or references in a circle.
        """
        item = item.replace("#", _SEPARATOR)
        if item in self._values:
            return self._values[item]
        if item in self._open:
            circle = " → ".join([*self._open, item])
            raise ConfigError(f"{self._file}: {circle}: references in a circle", remedy="correct the bundle")
        self._open.append(item)
        try:
            self._values[item] = self._resolve(self._raw(item), item)
        finally:
            self._open.pop()
        return self._values[item]

    def __contains__(self, item: str) -> bool:
        try:
            self._raw(item.replace("#", _SEPARATOR))
        except ConfigError:
            return False
        return True

    def _raw(self, item: str) -> Any:
        node: Any = self._document
        for key in item.split(_SEPARATOR):
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
        if isinstance(raw, dict):
            return {key: self._resolve(value, f"{item}{_SEPARATOR}{key}") for key, value in raw.items()}
        if isinstance(raw, list):
            return [self._resolve(value, f"{item}{_SEPARATOR}{n}") for n, value in enumerate(raw)]
        if not isinstance(raw, str):
            return raw
        if raw.startswith("%"):
            raise ConfigError(f"{self._file}: {item}: {raw} is a macro", remedy="write its text in its place")
        text = raw.replace("#", _SEPARATOR)
        if reference := _REFERENCE.fullmatch(text):
            return self.value(_absolute(reference[1], item))
        return self._expression(text[1:], item) if text.startswith("$") else raw

    def _expression(self, text: str, item: str) -> Any:
        names: dict[str, Any] = {}

        def name(reference: re.Match[str]) -> str:
            variable = f"reference_{len(names)}"
            target = _absolute(reference[1], item)
            names[variable] = self.value(target) if target in self else Unknown(f"@{target}")
            return variable

        value = evaluate(_REFERENCE.sub(name, text), names)
        return Unknown(f"${text}") if isinstance(value, Unknown) else value


def _absolute(reference: str, item: str) -> str:
    name = reference
    while name.startswith(_SEPARATOR):
        name = name[len(_SEPARATOR) :]
    levels = (len(reference) - len(name)) // len(_SEPARATOR)
    return _SEPARATOR.join([*item.split(_SEPARATOR)[:-levels], name]) if levels else name
