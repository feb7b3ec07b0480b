"""Custom writers in the `writers` of a configuration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from gpu_infer.config.components import Components, OwnKind, construct, import_class, is_vendor_name
from gpu_infer.config.location import Place
from gpu_infer.writers.base import Writer, is_writer

_WRITER = OwnKind(is_writer, "a writer", "Writer from gpu_infer.writers.base")

Entry = tuple[Place, dict[str, JsonValue]]
"""An entry of `writers` and its place."""


@dataclass(frozen=True, eq=False)
class OwnWriter:
    """A custom writer and the field whose labels it writes."""

    field: str
    writer: Writer


def is_own(entry: dict[str, JsonValue]) -> bool:
    """Whether an entry of `writers` names a custom writer, by `path` or a dotted `name`."""
    name = entry.get("name")
    return "path" in entry or (isinstance(name, str) and "." in name and not is_vendor_name(name.strip()))


def make_writers(entries: Sequence[Entry], fields: Sequence[str], components: Components) -> tuple[OwnWriter, ...]:
    """The custom writers of `entries`, which are enabled; `fields` has the field of each. Raises ConfigError."""
    return tuple(_make(entry, field, components) for entry, field in zip(entries, fields, strict=True))


def _make(entry: Entry, field: str, components: Components) -> OwnWriter:
    place, value = entry
    if "ref" in value:
        raise (place / "ref").error("a writer is no reference", "leave it out")
    component = components.parse(value, place)
    assert component is not None  # disabled entries are left out
    cls = import_class(component, _WRITER)
    arguments = {key: value for key, value in component.args.items() if key != "field"}
    label = component.name or cls.__name__
    return OwnWriter(field, construct(component, cls.__name__, lambda: _checked(cls, label, place), arguments))


def _checked(cls: type[Writer], label: str, place: Place) -> type[Writer]:
    if "field" in cls.Args.model_fields:
        raise place.error(f"{label}: Args declares field, which every writer has", "read result.field instead")
    return cls
