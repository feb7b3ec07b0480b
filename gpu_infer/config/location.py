"""Places in a configuration file, for errors that name the file and the key."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import JsonValue

from gpu_infer.errors import ConfigError
from gpu_infer.redaction import template


@dataclass(frozen=True)
class Place:
    """A file, as the user named it, and a path of keys in it, such as `pre_transforms[2].args`."""

    file: str
    path: str = ""

    def __truediv__(self, key: str | int) -> Place:
        """The place of a member: `place / "args"`, `place / 2`."""
        if isinstance(key, int):
            return Place(self.file, f"{self.path}[{key}]")
        return Place(self.file, f"{self.path}.{key}" if self.path else key)

    def error(self, text: str, remedy: str | None = None) -> ConfigError:
        """Make the ConfigError `file: path: text`."""
        return ConfigError(": ".join(part for part in (self.file, self.path, text) if part), remedy=remedy)

    def expected(self, what: str, found: object) -> ConfigError:
        """Make the ConfigError `file: path: expected …, found …`."""
        return self.error(f"expected {what}, found {shown(found)}")

    def mapping(self, value: JsonValue) -> dict[str, JsonValue]:
        """`value` if it is a JSON object; null counts as an empty one. Raises ConfigError for anything else."""
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self.expected("an object {…}", value)
        return value


def shown(value: object) -> str:
    """A value as JSON, cut to the length of a line; values of environment variables appear as `{NAME}`."""
    text = json.dumps(template(value), ensure_ascii=False, default=str)
    return text if len(text) <= 80 else text[:77] + "…"


def nearest(word: str, known: Iterable[str]) -> str:
    """The question `; did you mean "x"?`, or nothing if no known word is similar."""
    by_lower = {k.lower(): k for k in known}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1)
    return f'; did you mean "{by_lower[close[0]]}"?' if close else ""
