"""Components of a configuration, `{"name", "args"}` with optional keys, and the transforms that they name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from gpu_infer.config.arguments import build
from gpu_infer.config.location import Place, nearest
from gpu_infer.config.missing import missing_reason
from gpu_infer.config.monai_names import monai_hint
from gpu_infer.config.own_modules import import_own
from gpu_infer.config.variables import expand
from gpu_infer.errors import GpuInferError
from gpu_infer.redaction import template
from gpu_infer.transforms.base import Transform, is_transform
from gpu_infer.transforms.custom.guard import check_properties, guarded
from gpu_infer.transforms.registry import TRANSFORMS, belongs_to_training

_KEYS = ("name", "path", "args", "disabled", "ref")
_VENDOR_ROOTS = ("ai4med", "medical", "nvmidl")
"""Packages whose dotted names mean the built-in component of the same class name."""

_COMMON_WORD = "medical"
"""The one of them that a user's own package may be called, too."""


@dataclass(frozen=True)
class Component:
    """A parsed entry: `name` without its alias, None if the entry has only `path`; `args` with variables replaced.

    folders  where the module of a custom component can be, besides PYTHONPATH
    """

    place: Place
    name: str | None
    path: str | None
    alias: str | None
    args: dict[str, JsonValue]

    path_key: str = "path"
    folders: Sequence[Path] = ()

    @property
    def label(self) -> str:
        """The name for messages."""
        return self.name or str(template(self.path or ""))


@dataclass
class Components:
    """Reader of the components of one file; stores aliases, to which later entries refer.

    folders  where modules of custom components can be, besides PYTHONPATH
    """

    environ: Mapping[str, str]
    folders: Sequence[Path] = ()
    aliases: dict[str, Transform] = field(default_factory=dict)
    disabled: set[str] = field(default_factory=set)

    def parse(self, value: JsonValue, place: Place) -> Component | None:
        """The component of an entry, None if it is disabled. Raises ConfigError for anything else."""
        entry = place.mapping(value)
        for key in entry:
            if key not in _KEYS:
                raise place.error(f'unknown key "{key}"{nearest(key, _KEYS)}', f"a component has {', '.join(_KEYS)}")
        for key in ("name", "path"):
            text = entry.get(key, "absent")
            if not (isinstance(text, str) and text.strip()):
                raise (place / key).expected("a non-empty string", text)
        name, _, alias = str(entry.get("name", "")).strip().partition("#")
        if switch(entry.get("disabled", False), place / "disabled"):
            self.disabled.add(alias)
            return None
        if not name and "path" not in entry:
            raise place.error('expected a component with "name" or "path"', '{"name": "LoadNifti", "args": {…}}')
        args = expand((place / "args").mapping(entry.get("args")), self.environ, place / "args")
        path = expand(str(entry["path"]).strip(), self.environ, place / "path") if "path" in entry else None
        path_key = "path"
        if path is None and "." in name:
            name, path, path_key = "", name, "name"
            root, class_name = path.split(".")[0], path.rsplit(".", 1)[1]
            if root in _VENDOR_ROOTS and (root != _COMMON_WORD or class_name in TRANSFORMS):
                name, path = class_name, None
        return Component(place, name or None, path, alias or None, args, path_key, self.folders)

    def transforms(self, value: JsonValue, place: Place) -> tuple[Transform, ...]:
        """The transforms of a list of components, without disabled ones."""
        if not isinstance(value, list):
            raise place.expected("a list of components", value)
        transforms = (self._transform(entry, place / n) for n, entry in enumerate(value))
        return tuple(t for t in transforms if t is not None)

    def _transform(self, value: JsonValue, place: Place) -> Transform | None:
        if isinstance(value, dict) and "ref" in value:
            return self._reference(value, place)
        component = self.parse(value, place)
        if component is None:
            return None
        cls: type[Transform] = import_class(component, TRANSFORM) if component.path else _built_in(component)
        make = (lambda: guarded(cls)) if component.path else (lambda: cls)
        transform: Transform = construct(component, cls.__name__, make, component.args)
        if component.path:
            check_properties(transform)
        if component.alias:
            if component.alias in self.aliases:
                raise (place / "name").error(f'the alias "{component.alias}" is taken already', "choose another")
            self.aliases[component.alias] = transform
        return transform

    def _reference(self, entry: dict[str, JsonValue], place: Place) -> Transform | None:
        if switch(entry.get("disabled", False), place / "disabled"):
            return None
        alias = entry["ref"]
        if not isinstance(alias, str):
            raise (place / "ref").expected("the alias of an earlier component", alias)
        for key in entry:
            if key not in ("ref", "disabled"):
                raise place.error(f'a reference has no "{key}"', 'write {"ref": "alias"} alone')
        if alias in self.aliases:
            return self.aliases[alias]
        if alias in self.disabled:
            raise (place / "ref").error(f'the component "{alias}" is disabled', "disable the reference too")
        known = ", ".join(self.aliases) or "none"
        raise (place / "ref").error(f'no earlier component has the alias "{alias}"', f"aliases so far: {known}")


@dataclass(frozen=True)
class OwnKind:
    """A kind of custom component: the test of its classes, and words for messages."""

    accepts: Callable[[Any], bool]
    noun: str
    bases: str


TRANSFORM = OwnKind(is_transform, "a transform", "Pointwise, Regrid or Barrier from gpu_infer.transforms.base")


def construct(component: Component, name: str, cls: Callable[[], type[Any]], args: Mapping[str, JsonValue]) -> Any:
    """An instance of a component's class with `args`, which knows its place. Raises ConfigError.

    name  for messages, if the configuration has none
    cls   returns the class
    """
    place, label = component.place, component.name or name
    try:
        made = cls()
        instance = build(made, made.Args, args, place / "args", label)
    except (GpuInferError, KeyboardInterrupt):
        raise
    except BaseException as error:
        # A user's code may raise anything, even SystemExit; the error names the key of the component.
        raise place.error(f"{label} cannot be made: {type(error).__name__}: {error}") from error
    instance.where = f"{place.file}: {place.path}"
    return instance


def is_vendor_name(path: str) -> bool:
    """Whether a dotted name is that of a built-in component of the original."""
    return path.split(".")[0] in _VENDOR_ROOTS


def switch(value: JsonValue, place: Place) -> bool:
    """`value` if it is a boolean, or the boolean that it spells. Raises ConfigError for anything else."""
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise place.expected("true or false", value)
    return value


def _built_in(component: Component) -> type[Transform]:
    name, place = component.label, component.place / "name"
    if name in TRANSFORMS:
        return TRANSFORMS[name]
    if belongs_to_training(name):
        raise place.error(f"{name} belongs to training", "leave it out of the inference configuration")
    if (reason := missing_reason(name)) is not None:
        raise place.error(f"{name}: {reason[0]}", reason[1])
    hint = monai_hint(name) or nearest(name, list(TRANSFORMS))
    raise place.error(f'unknown transform "{name}"{hint}', f"supported: {', '.join(TRANSFORMS)}")


def import_class(component: Component, kind: OwnKind) -> type[Any]:
    """Import the class at a dotted path, one of `kind`. Raises ConfigError."""
    path = component.path or ""
    place = component.place / component.path_key
    cls: Any = import_own(path, place, component.folders)
    if not kind.accepts(cls):
        raise place.error(f'"{template(path)}" is not {kind.noun}', f"it must be a concrete subclass of {kind.bases}")
    own: type[Any] = cls
    return own
