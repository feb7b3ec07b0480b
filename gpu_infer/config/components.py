"""Components of a configuration: `{"name", "args"}` and what else may stand there, made into transforms."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gpu_infer.config.arguments import build
from gpu_infer.config.location import Place, nearest
from gpu_infer.config.variables import expand
from gpu_infer.errors import GpuInferError, Interrupted
from gpu_infer.redaction import Expanded, template
from gpu_infer.transforms.base import Transform, is_transform
from gpu_infer.transforms.registry import TRANSFORMS, belongs_to_training

_KEYS = ("name", "path", "args", "disabled", "ref")
_VENDOR_ROOTS = ("ai4med", "medical", "nvmidl")
"""Dotted names under these packages mean the built-in component of the same class name."""


@dataclass(frozen=True)
class Component:
    """A parsed entry: `name` without its alias, or None where only `path` was given; `args` expanded."""

    place: Place
    name: str | None
    path: str | None
    alias: str | None
    args: dict[str, Any]

    path_key: str = "path"

    @property
    def label(self) -> str:
        return self.name or str(template(self.path or ""))


@dataclass
class Components:
    """Reads components of one file; remembers aliases, so that later entries can refer to them."""

    environ: Mapping[str, str]
    aliases: dict[str, Transform] = field(default_factory=dict)
    disabled: set[str] = field(default_factory=set)

    def parse(self, value: Any, place: Place) -> Component | None:
        """The entry, or None where it is disabled. ConfigError for anything that is no component."""
        entry = place.mapping(value)
        for key in entry:
            if key not in _KEYS:
                raise place.error(f'unknown key "{key}"{nearest(key, _KEYS)}', f"a component has {', '.join(_KEYS)}")
        for key in ("name", "path"):
            if key in entry and not (isinstance(entry[key], str) and entry[key].strip()):
                raise (place / key).expected("a non-empty string", entry[key])
        name, _, alias = str(entry.get("name", "")).strip().partition("#")
        if switch(entry.get("disabled", False), place / "disabled"):
            self.disabled.add(alias)
            return None
        if not name and "path" not in entry:
            raise place.error('expected a component with "name" or "path"', '{"name": "LoadNifti", "args": {…}}')
        args = expand((place / "args").mapping(entry.get("args")), self.environ, place / "args")
        path = expand(entry["path"].strip(), self.environ, place / "path") if "path" in entry else None
        path_key = "path"
        if path is None and "." in name:
            name, path, path_key = "", name, "name"
            if path.split(".")[0] in _VENDOR_ROOTS and path.rsplit(".", 1)[1] in TRANSFORMS:
                name, path = path.rsplit(".", 1)[1], None
        return Component(place, name or None, path, alias or None, args, path_key)

    def transforms(self, value: Any, place: Place) -> tuple[Transform, ...]:
        """The transforms of a list of components, disabled ones left out."""
        if not isinstance(value, list):
            raise place.expected("a list of components", value)
        made = (self._transform(entry, place / n) for n, entry in enumerate(value))
        return tuple(t for t in made if t is not None)

    def _transform(self, value: Any, place: Place) -> Transform | None:
        if isinstance(value, dict) and "ref" in value:
            return self._reference(value, place)
        component = self.parse(value, place)
        if component is None:
            return None
        cls = _import(component) if component.path else _built_in(component)
        label = component.name or cls.__name__
        try:
            transform = build(cls, cls.Args, component.args, place / "args", label)
        except (GpuInferError, KeyboardInterrupt):
            raise
        except BaseException as error:
            # Code of others: whatever it raises, SystemExit included, is a mistake in the component that the key names.
            raise place.error(f"{label} cannot be made: {type(error).__name__}: {error}") from error
        transform.where = f"{place.file}: {place.path}"
        if component.alias:
            if component.alias in self.aliases:
                raise (place / "name").error(f'the alias "{component.alias}" is taken already', "choose another")
            self.aliases[component.alias] = transform
        return transform

    def _reference(self, entry: dict[str, Any], place: Place) -> Transform | None:
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


def switch(value: Any, place: Place) -> bool:
    """A JSON boolean, or one as a string."""
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
    hint = nearest(name, list(TRANSFORMS))
    raise place.error(f'unknown transform "{name}"{hint}', f"supported: {', '.join(TRANSFORMS)}")


def _import(component: Component) -> type[Transform]:
    """The class at a dotted path; it must be a concrete subclass of one of the kinds."""
    path = component.path or ""
    place = component.place / component.path_key
    module_name, _, class_name = path.rpartition(".")
    if not module_name or not all(part.isidentifier() for part in path.split(".")):
        raise place.expected('a dotted name such as "package.module.Class"', path)
    hidden = isinstance(path, Expanded)
    try:
        module = importlib.import_module(module_name)
    except (Interrupted, KeyboardInterrupt):
        raise
    except BaseException as error:  # a module that calls sys.exit is no end of this program
        reason = str(error) if isinstance(error, ImportError) else f"{type(error).__name__}: {error}"
        if hidden:  # an import error repeats parts of the name
            module_name, reason = str(template(path)), type(error).__name__
        raise place.error(f'cannot import "{module_name}": {reason}', "put it on PYTHONPATH and mend it") from error
    cls = getattr(module, class_name, None)
    if cls is None:
        if hidden:
            raise place.error(f'"{template(path)}" names no class of its module')
        raise place.error(f'module "{module_name}" has no "{class_name}"{nearest(class_name, dir(module))}')
    if not is_transform(cls):
        raise place.error(
            f'"{template(path)}" is not a transform',
            "it must be a concrete subclass of Pointwise, Regrid or Barrier from gpu_infer.transforms.base",
        )
    found: type[Transform] = cls
    return found
