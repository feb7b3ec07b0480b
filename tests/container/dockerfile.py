"""A Dockerfile as instructions, for tests: what `docker build` would run, without Docker.

Understands what our Dockerfiles use: comments, continued lines, ARG with defaults, ENV, ${NAME}, stages, the JSON
form. Anything else (here-documents, ONBUILD, RUN --mount) raises ValueError rather than be read wrongly.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_VARIABLE = re.compile(r"\$\{(\w+)\}|\$(\w+)")
_KNOWN = frozenset(["FROM", "ARG", "ENV", "RUN", "COPY", "LABEL", "WORKDIR", "USER", "ENTRYPOINT"])


@dataclass(frozen=True)
class Instruction:
    line: int
    name: str
    text: str


@dataclass
class Stage:
    """One FROM: `base` is an image or an earlier stage; `variables` are what RUN would see at the stage's end."""

    name: str
    base: str
    instructions: list[Instruction] = field(default_factory=list)


def read(path: Path) -> list[Instruction]:
    """All instructions in order, continued lines joined by a blank."""
    actual: list[Instruction] = []
    parts: list[str] = []
    start = 0
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.lstrip().startswith("#") or (not line.strip() and not parts):
            continue
        start = start if parts else number
        continued = line.rstrip().endswith("\\")
        parts.append(line.strip().removesuffix("\\").strip())
        if continued:
            continue
        name, _, text = " ".join(parts).partition(" ")
        if name.upper() not in _KNOWN or "<<" in text or text.startswith("--mount"):
            raise ValueError(f"{path}:{start}: {name}: not understood")
        actual.append(Instruction(start, name.upper(), text.strip()))
        parts = []
    return actual


def stages(path: Path, arguments: Mapping[str, str] | None = None) -> list[Stage]:
    """The stages that the last one needs, in order, for the given build arguments."""
    given = dict(arguments or {})
    globals_: dict[str, str] = {}
    every: dict[str, Stage] = {}
    current: Stage | None = None
    for item in read(path):
        if item.name == "FROM":
            base, _, name = fill(item.text, globals_).partition(" AS ")
            current = Stage(name or str(len(every)), base)
            every[current.name] = current
        elif current is not None:
            current.instructions.append(item)
        elif item.name == "ARG":
            key, _, default = item.text.partition("=")
            globals_[key] = given.get(key, default)
    if current is None:
        raise ValueError(f"{path}: no FROM")
    wanted = {current.name}
    for stage in reversed(every.values()):
        if stage.name in wanted:
            wanted |= {stage.base, *(source for _, source, _ in copies(stage) if source)} & every.keys()
    return [stage for stage in every.values() if stage.name in wanted]


def environment(path: Path, arguments: Mapping[str, str] | None = None) -> dict[str, dict[str, str]]:
    """Per stage that is built, the ENV at its end (inherited ones included)."""
    actual: dict[str, dict[str, str]] = {}
    for stage in stages(path, arguments):
        variables = Variables(path, arguments, actual.get(stage.base, {}))
        for item in stage.instructions:
            variables.take(item)
        actual[stage.name] = variables.env
    return actual


class Variables:
    """ARG and ENV of a stage as they build up; `visible` is what a RUN sees."""

    def __init__(self, path: Path, arguments: Mapping[str, str] | None, env: Mapping[str, str]) -> None:
        self.given = dict(arguments or {})
        self.globals = {
            key: self.given.get(key, default)
            for item in _before_first_from(path)
            for key, _, default in [item.text.partition("=")]
        }
        self.args: dict[str, str] = {}
        self.env = dict(env)

    @property
    def visible(self) -> dict[str, str]:
        return self.args | self.env

    def take(self, item: Instruction) -> None:
        if item.name == "ARG":
            key, _, default = item.text.partition("=")
            self.args[key] = self.given.get(key, fill(default, self.visible) or self.globals.get(key, ""))
        elif item.name == "ENV":
            self.env |= pairs(fill(item.text, self.visible))


def pairs(text: str) -> dict[str, str]:
    """KEY=value KEY="value" … of ENV and LABEL."""
    return dict(word.split("=", 1) for word in shlex.split(text))


def copies(stage: Stage) -> Iterator[tuple[list[str], str | None, str]]:
    """(sources, stage they come from or None for the build context, destination) of every COPY."""
    for item in stage.instructions:
        if item.name == "COPY":
            *words, destination = item.text.split()
            source = next((w.removeprefix("--from=") for w in words if w.startswith("--from=")), None)
            yield [w for w in words if not w.startswith("--")], source, destination


def fill(text: str, variables: Mapping[str, str]) -> str:
    """`text` with ${NAME} and $NAME replaced; PATH, which every image sets, stays a reference if unknown."""
    return _VARIABLE.sub(lambda m: variables.get(m[1] or m[2], _default(m)), text)


def _default(match: re.Match[str]) -> str:
    return match[0] if (match[1] or match[2]) == "PATH" else ""


def _before_first_from(path: Path) -> Iterator[Instruction]:
    for item in read(path):
        if item.name == "FROM":
            return
        yield item
