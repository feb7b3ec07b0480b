"""Checks of a pipeline that need no volume: its fields, what they hold, and its layouts must fit together."""

from __future__ import annotations

import difflib
import functools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gpu_infer.errors import ConfigError
from gpu_infer.transforms.base import ChannelReduction, Load, Metadata, Transform
from gpu_infer.transforms.field import Fields, FieldState, Kind, Source
from gpu_infer.volume.geometry import Geometry, Orientation

log = logging.getLogger(__name__)

DEFAULT_RESULT = "model"


@dataclass(frozen=True)
class FieldNames:
    """The fields of a pipeline.

    input   the field that is loaded and goes to the model
    result  the field that the model's output becomes
    kinds   what every field holds after the last post-transform
    """

    input: str
    result: str
    kinds: Mapping[str, Kind]


def check(pre: Sequence[Transform], post: Sequence[Transform], result: str | None = None) -> FieldNames:
    """The fields by name; ConfigError if the chains cannot work together."""
    loaded = _loaded_field(pre, post)
    result = result or _result_field(pre, post)
    states = {loaded: _blank(loaded, "image")}
    for transform in pre:
        _step(transform, states)
    if states[loaded].channel_axis == "none":
        _log_channels_first(loaded)
    if result in states:
        raise ConfigError(
            f"the result field {result!r} is already made by pre_transforms",
            remedy='name the result field otherwise, usually "model"',
        )
    states[result] = _blank(result, "scores").copy(properties={})
    for transform in post:
        _step(transform, states)
    return FieldNames(loaded, result, {name: state.kind for name, state in states.items()})


@functools.cache
def _log_channels_first(field: str) -> None:
    """Logs it once per field: a chain is checked more often than it runs."""
    log.info("pre_transforms: no ConvertToChannelsFirst for %r; channels first is assumed", field)


def check_outputs(names: FieldNames, outputs: Sequence[str]) -> None:
    """ConfigError if a field that is to be written does not exist or is no label map."""
    for output in outputs:
        kind = names.kinds.get(output)
        if kind is None:
            near = difflib.get_close_matches(output, names.kinds, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise ConfigError(f"unknown field {output!r}; {hint}known: {', '.join(names.kinds)}")
        if kind == "scores":
            raise ConfigError(
                f"post_transforms: no transform turns the scores in {output!r} into labels",
                remedy="add ArgmaxAcrossChannels, or ThresholdValues for a model with one output channel",
            )
        if kind == "image":
            raise ConfigError(
                f"{output!r} holds an image, expected labels to write",
                remedy=f"name one of {', '.join(n for n, k in names.kinds.items() if k == 'labels') or names.result}",
            )


def _loaded_field(pre: Sequence[Transform], post: Sequence[Transform]) -> str:
    loads = [t for t in pre if isinstance(t, Load)]
    for late in (t for t in post if isinstance(t, Load)):
        raise ConfigError(f"{late.place}: loads a volume after the inference", remedy="move it to pre_transforms")
    if not loads:
        raise ConfigError("pre_transforms: nothing loads the volume", remedy="begin with LoadNifti")
    fields = [f for t in loads for f in t.fields]
    if len(fields) != 1:
        raise ConfigError(
            f"{loads[-1].place}: one volume is read per run, found the fields {', '.join(fields)}",
            remedy="load one field; files with several channels become channels of that field",
        )
    return fields[0]


def _result_field(pre: Sequence[Transform], post: Sequence[Transform]) -> str:
    known = {f for t in (*pre, *post) for f in t.creates}
    unknown = dict.fromkeys(f for t in post for f in (*t.fields, *t.references) if f not in known)
    return next(iter(unknown)) if len(unknown) == 1 else DEFAULT_RESULT


def _blank(name: str, kind: Kind) -> FieldState:
    """Placeholder field for checks; its grid is not used."""
    source = Source(Geometry((1, 1, 1), np.eye(4)), Orientation.identity())
    return FieldState(
        name,
        1,
        (1, 1, 1),
        np.dtype(np.float32),
        (1.0, 1.0, 1.0),
        source,
        kind,
        properties=source.properties(),
    )


def _step(transform: Transform, states: Fields) -> None:
    for name in (*transform.fields, *transform.references):
        if name not in states:
            near = difflib.get_close_matches(name, states, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise ConfigError(
                f"{transform.place}{_argument(transform, name)}: unknown field {name!r}; "
                f"{hint}known: {', '.join(states)}",
                remedy="name one of these, or put the transform that makes the field before it",
            )
    for name in transform.fields:
        _check_kind(transform, states[name])
    if not isinstance(transform, Load):
        for name in (n for n in transform.creates if n in states):
            raise ConfigError(f"{transform.place}: the field {name!r} exists already", remedy="choose another name")
    if isinstance(transform, Metadata):
        transform.update(states)
    for name in transform.creates:
        origin = states[transform.fields[0]]
        states.setdefault(name, origin.copy(name=name, kind=transform.outcome(origin.kind)))
    if not transform.creates:
        for name in transform.fields:
            states[name].kind = transform.outcome(states[name].kind)


def _argument(transform: Transform, field: str) -> str:
    """The argument that names a field, as `: args.label_field`; empty if none does."""
    for name, value in transform.args:
        if field == value or (isinstance(value, (list, tuple)) and field in value):
            return f": args.{name}"
    return ""


def _check_kind(transform: Transform, state: FieldState) -> None:
    if transform.needs_scores and state.kind != "scores":
        raise ConfigError(
            f"{transform.place}: works on scores, {state.name!r} holds "
            + ("an image" if state.kind == "image" else "labels"),
            remedy="move it before the transform that makes labels" if state.kind == "labels" else None,
        )
    if state.kind != "labels":
        if transform.needs_labels:
            raise ConfigError(
                f"{transform.place}: works on labels, {state.name!r} holds "
                + ("an image" if state.kind == "image" else "scores"),
                remedy="put ArgmaxAcrossChannels or ThresholdValues before it" if state.kind == "scores" else None,
            )
        return
    if transform.scales_values:
        raise ConfigError(
            f"{transform.place}: would change the label ids of {state.name!r}",
            remedy="move it before the transform that makes labels",
        )
    if transform.mixes_voxels:
        raise ConfigError(
            f"{transform.place}: linear interpolation would mix the label ids of {state.name!r}",
            remedy='set "is_label": true',
        )
    if isinstance(transform, ChannelReduction):
        raise ConfigError(f"{transform.place}: {state.name!r} holds labels already", remedy="leave it out")
