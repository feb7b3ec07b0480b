"""The writers of a configuration: the fields to write, and their dtypes."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import get_args

import numpy as np
from pydantic import JsonValue

from gpu_infer.choices import Format
from gpu_infer.config.components import Components, switch
from gpu_infer.config.config import Output
from gpu_infer.config.location import Place, nearest, shown
from gpu_infer.config.missing import missing_reason
from gpu_infer.config.own_writers import OwnWriter, is_own, make_writers
from gpu_infer.config.variables import expand
from gpu_infer.errors import ConfigError
from gpu_infer.transforms.chain.checks import FieldNames, check_outputs

log = logging.getLogger(__name__)

OUTPUT_DTYPES = ("uint8", "uint16", "uint32", "int8", "int16", "int32")
DEFAULT_OUTPUT_DTYPE = "uint8"

_ARGUMENTS = ("dtype", "dtypes", "field", "format")
"""The arguments of a writer that have an effect; `dtypes` is another spelling of `dtype`."""


def read_outputs(
    document: dict[str, JsonValue], place: Place, components: Components, names: FieldNames
) -> tuple[tuple[Output, ...], tuple[OwnWriter, ...], tuple[str, ...]]:
    """The outputs, one per writer, or the result field if there is no writer; custom writers; warnings, one line each.

    The label map of a custom writer's field is an output, too. Only `args.field`, `args.dtype` (also written `dtypes`)
    and `args.format` of another writer have an effect. Raises ConfigError, which names the key, if a field has no
    labels at the end of the chain, if a field is written twice, if a dtype is not one of `OUTPUT_DTYPES`, if a format
    is unknown, or if a custom writer cannot be made.
    """
    outputs: list[Output] = []
    warnings: list[str] = []
    environ = components.environ
    own = [(where, writer) for where, writer in _writers(document, place) if is_own(writer)]
    writers = [(where, writer) for where, writer in _writers(document, place) if not is_own(writer)]
    if not writers and not own:
        cause = "every writer is disabled" if document.get("writers") or document.get("writer") else "no writers"
        dtype = np.dtype(DEFAULT_OUTPUT_DTYPE)
        warnings.append(f"{place.file}: {cause}: the field {shown(names.result)} is written as {dtype} MetaImage")
        return (Output(names.result, dtype),), (), tuple(warnings)
    for where, writer in writers:
        _check_name(writer, where / "name")
        args = (where / "args").mapping(writer.get("args"))
        for key in sorted(args.keys() - set(_ARGUMENTS)):
            near = nearest(key, _ARGUMENTS)
            text = f"{place.file}: {where.path}.args.{key} has no effect{near}"
            if near:  # a misspelt argument, rather than one of another program
                warnings.append(text)
            else:
                log.info("%s", text)
        field = _field(args, where / "args" / "field", environ, names)
        if field in [output.field for output in outputs]:
            raise (where / "args" / "field").error(
                f"{shown(field)} is written already", "give every writer another field"
            )
        dtypes = [_dtype(args[key], where / "args" / key, environ) for key in ("dtype", "dtypes") if key in args]
        if len(set(dtypes)) > 1:
            raise (where / "args").error('"dtype" and "dtypes" are the same argument', "keep one")
        if dtypes:
            dtype = dtypes[0]
        else:
            dtype = np.dtype(DEFAULT_OUTPUT_DTYPE)
            warnings.append(f"{where.file}: {where.path}.args.dtype is missing: labels are written as {dtype}")
        formats = _formats(args["format"], where / "args" / "format", environ) if "format" in args else ()
        outputs.append(Output(field, dtype, formats))
    own_fields = [
        _field((w / "args").mapping(writer.get("args")), w / "args" / "field", environ, names) for w, writer in own
    ]
    for entry, field in zip(own, own_fields, strict=True):
        if field not in [output.field for output in outputs]:
            outputs.append(Output(field, np.dtype(DEFAULT_OUTPUT_DTYPE)))
            writers.append(entry)
            warnings.append(
                f"{place.file}: {entry[0].path}: no other writer writes the label map of {shown(field)}: it is written "
                f"as {DEFAULT_OUTPUT_DTYPE}"
            )
    for (where, _), output in zip(writers, outputs, strict=True):
        # With several outputs, each field is part of a file's name: <name>.<field>.mhd
        if len(outputs) > 1 and ("/" in output.field or not output.field.isprintable()):
            field_place = where / "args" / "field"
            raise field_place.error(
                f"{shown(output.field)} cannot be part of a file name", "give the field another name"
            )
    return tuple(outputs), make_writers(own, own_fields, components), tuple(warnings)


def _writers(document: dict[str, JsonValue], place: Place) -> list[tuple[Place, dict[str, JsonValue]]]:
    """The enabled writers with their places."""
    if "writers" in document and "writer" in document:
        raise place.error('"writers" and "writer" exclude each other', "keep one")
    if "writer" in document:
        listed = [(place / "writer", document["writer"])]
    else:
        entries = document.get("writers", [])
        if not isinstance(entries, list):
            raise (place / "writers").expected("a list of components", entries)
        listed = [(place / "writers" / n, entry) for n, entry in enumerate(entries)]
    writers = [(where, where.mapping(entry)) for where, entry in listed]
    return [
        (where, writer) for where, writer in writers if not switch(writer.get("disabled", False), where / "disabled")
    ]


def _check_name(writer: Mapping[str, JsonValue], place: Place) -> None:
    """Raise ConfigError for a writer of images that are no label maps; any other name is another program's writer."""
    name = str(writer.get("name", "")).rpartition(".")[2]
    if (reason := missing_reason(name)) is not None:
        raise place.error(f"{name}: {reason[0]}", reason[1])


def _field(args: Mapping[str, JsonValue], place: Place, environ: Mapping[str, str], names: FieldNames) -> str:
    if "field" not in args:
        return names.result
    field = expand(args["field"], environ, place)
    if not isinstance(field, str):
        raise place.expected("the name of a field", field)
    if names.kinds.get(field) == "scores":
        return field  # a chain that does not make labels of scores has its own error, which names the chain
    try:
        check_outputs(names, [field])
    except ConfigError as error:
        raise place.error(error.message, error.remedy) from None
    return field


def _formats(value: JsonValue, place: Place, environ: Mapping[str, str]) -> tuple[Format, ...]:
    """One format or a list of them, without repetition."""
    known = {str(each): each for each in get_args(Format)}
    formats: list[Format] = []
    listed = value if isinstance(value, list) else [value]
    if not listed:
        raise place.expected(f"one of {', '.join(known)}, or a list of them", value)
    for number, entry in enumerate(listed):
        where = place / number if isinstance(value, list) else place
        name = expand(entry, environ, where)
        if not isinstance(name, str) or name not in known:
            raise where.expected(f"one of {', '.join(known)}", name)
        formats.append(known[name])
    return tuple(dict.fromkeys(formats))


def _dtype(value: JsonValue, place: Place, environ: Mapping[str, str]) -> np.dtype[np.generic]:
    """The dtype that a name, or a list with one name, stands for."""
    dtype = expand(value[0] if isinstance(value, list) and len(value) == 1 else value, environ, place)
    if not isinstance(dtype, str) or dtype not in OUTPUT_DTYPES:
        raise place.expected(f"one of {', '.join(OUTPUT_DTYPES)}", dtype)
    return np.dtype(dtype)
