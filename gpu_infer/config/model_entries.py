"""The inferer's argument `models`: several models whose scores are averaged, or whose labels become one label map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import BeforeValidator, JsonValue

from gpu_infer.config.arguments import build
from gpu_infer.config.location import Place
from gpu_infer.transforms.arguments import LARGEST_LABEL, Arguments, Number, Text

Combine = Literal["mean", "union"]

MOST_MODELS = 32
LEAST_WEIGHT, MOST_WEIGHT = 1e-6, 1e6
"""Beyond them, float32 sums would not hold what the other models add."""

_MOST_DIGITS = 20  # leading zeros may stand before a label

_OF_ENTRIES = ("model_version", "input_name", "output_name")


def _version(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, bool) and isinstance(value, (int, str)) and str(value).strip():
        text = str(value).strip()
        if text == "-1":  # "latest", as TensorRT Inference Server clients wrote it
            return None
        if text.isascii() and text.isdecimal() and len(text) <= 19:  # Triton's versions have 64 bits
            return text
    raise ValueError("expected a version number, or -1 for the latest")


def _label(value: object, least: int) -> int:
    text = str(value).strip()
    is_number = isinstance(value, (int, str)) and not isinstance(value, bool) and text.isascii() and text.isdecimal()
    if is_number and len(text) <= _MOST_DIGITS and least <= int(text) <= LARGEST_LABEL:
        return int(text)
    raise ValueError(_LABELS)


def _final_labels(value: object) -> tuple[tuple[int, int], ...]:
    if isinstance(value, (list, tuple)) and value:
        return tuple((n, _label(final, 0)) for n, final in enumerate(value, start=1))
    if isinstance(value, dict) and value:
        pairs = tuple((_label(own, 1), _label(final, 0)) for own, final in value.items())
        if len({own for own, _ in pairs}) == len(pairs):
            return tuple(sorted(pairs))
    raise ValueError(_LABELS)


def _offset(value: object) -> int:
    try:
        return _label(value, 0)
    except ValueError:
        raise ValueError(f"expected a whole number of 0 to {LARGEST_LABEL}") from None


_LABELS = 'expected {"label of the model, from 1 on": final label}, or a list of the final labels of 1, 2, …'

Version = Annotated[str | None, BeforeValidator(_version)]
FinalLabels = Annotated[tuple[tuple[int, int], ...], BeforeValidator(_final_labels)]
Offset = Annotated[int, BeforeValidator(_offset)]


class ModelEntry(Arguments):
    """One model of several.

    weight  of its scores in the mean; None: 1
    labels  (label of the model, final label) of a union; final label 0 leaves the label out
    offset  of a union: label n above 0 becomes n + offset
    names   of a union: names of the model's own labels, as in labels.json
    """

    model_name: Text
    model_version: Version = None
    input_name: Text | None = None
    output_name: Text | None = None
    weight: Number | None = None
    labels: FinalLabels | None = None
    offset: Offset | None = None
    names: JsonValue = None

    def final_labels(self, classes: int) -> tuple[int, ...]:
        """The final label of each of the model's labels 0 to `classes` − 1. Raises ValueError for other `labels`."""
        if self.labels is None:
            return (0, *(n + (self.offset or 0) for n in range(1, classes)))
        final = dict(self.labels)
        missing = [n for n in range(1, classes) if n not in final]
        unknown = [n for n in final if n >= classes]
        if missing or unknown:
            what = f"lacks {_listed(missing)}" if missing else f"has {_listed(unknown)}"
            raise ValueError(f"labels {what}, expected 1 to {classes - 1}, the labels of the model")
        return (0, *(final[n] for n in range(1, classes)))


def describe_models(entries: Sequence[ModelEntry], combine: Combine | None) -> list[str]:
    """One line per model of several, and none for a single one."""
    if len(entries) < 2:
        return []
    if combine == "union":
        return [f"labels of model {entry.model_name}: {_described_labels(entry)}" for entry in entries]
    weights = [1.0 if entry.weight is None else entry.weight for entry in entries]
    return [
        f"scores of model {entry.model_name}: weight {weight / sum(weights):.4g}"
        for entry, weight in zip(entries, weights, strict=True)
    ]


def _described_labels(entry: ModelEntry) -> str:
    if entry.labels is None:
        return f"n -> n + {entry.offset}" if entry.offset else "n -> n"
    return ", ".join(f"{own} -> {final if final else 'none'}" for own, final in entry.labels)


def with_model_entries(arguments: Mapping[str, object], place: Place) -> Mapping[str, object]:
    """`arguments` with checked `models` and `combine`, or as they are without `models`. Raises ConfigError."""
    models, combine = arguments.get("models"), arguments.get("combine")
    if models is None:
        if combine is not None:
            raise place.error('"combine" has no effect without "models"', "leave it out, or list models")
        return arguments
    for key in ("model_name", *_OF_ENTRIES):
        if arguments.get(key) is not None:
            raise place.error(f'"{key}" and "models" exclude each other', "write it into the entries of models")
    entries = _entries(models, place / "models")
    for n, entry in enumerate(entries):
        _check_entry(entry, combine, place / "models" / n)
    _check_names(entries, place / "models")
    if combine == "union":
        _check_final_labels(entries, place / "models")
    return {**arguments, "models": entries}


def _entries(value: object, place: Place) -> tuple[ModelEntry, ...]:
    if not isinstance(value, list) or not 2 <= len(value) <= MOST_MODELS:
        raise place.expected(f"a list of 2 to {MOST_MODELS} models", value)
    return tuple(_entry(member, place / n) for n, member in enumerate(value))


def _entry(value: JsonValue, place: Place) -> ModelEntry:
    if isinstance(value, str):
        value = {"model_name": value}
    if not isinstance(value, dict):
        raise place.expected('a name, or an object {"model_name": …}', value)
    return build(ModelEntry, ModelEntry, value, place, "a model")


def _check_entry(entry: ModelEntry, combine: object, place: Place) -> None:
    if combine == "union":
        if entry.weight is not None:
            raise (place / "weight").error('belongs to combine "mean", found combine "union"', "leave it out")
        if (entry.labels is None) is (entry.offset is None):
            number = "none" if entry.labels is None else "both"
            raise place.error(
                f'expected "labels" or "offset" in each model of a union, found {number}',
                'write "offset": 0 for the first model, and for the next ones the number of labels before them',
            )
        return
    for key in ("labels", "offset", "names"):
        if getattr(entry, key) is not None:
            raise (place / key).error('belongs to combine "union", which is not set', 'set "combine": "union"')
    if entry.weight is not None and not LEAST_WEIGHT <= entry.weight <= MOST_WEIGHT:
        raise (place / "weight").error(
            f"expected a number from {LEAST_WEIGHT:g} to {MOST_WEIGHT:g}, found {entry.weight:g}",
            "leave out a model that is to have no weight",
        )


def _check_names(entries: Sequence[ModelEntry], place: Place) -> None:
    seen: dict[tuple[object, ...], int] = {}
    for n, entry in enumerate(entries):
        key = (entry.model_name, entry.model_version, entry.output_name)
        if key in seen:
            raise (place / n).error(f"model {entry.model_name} is listed twice, as entry {seen[key]} too", "keep one")
        seen[key] = n


def _check_final_labels(entries: Sequence[ModelEntry], place: Place) -> None:
    """Raise ConfigError if `labels` of two entries have the same final label."""
    owners: dict[int, str] = {}
    for n, entry in enumerate(entries):
        finals = {final for _, final in entry.labels or () if final}
        for final in sorted(finals & owners.keys()):
            raise (place / n / "labels").error(
                f"final label {final} is one of {owners[final]} too",
                "give each model numbers of its own; RelabelValues in post_transforms joins labels",
            )
        owners |= dict.fromkeys(finals, entry.model_name)


def _listed(labels: Sequence[int]) -> str:
    return ", ".join(map(str, labels[:8])) + (", …" if len(labels) > 8 else "")
