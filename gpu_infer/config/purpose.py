"""Refuse files of Clara Train that have the keys of a configuration, but no run of one segmentation."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import JsonValue

from gpu_infer.config.location import Place
from gpu_infer.errors import ConfigError

CHAINS = ("pre_transforms", "post_transforms")
OWN_KEYS = frozenset({*CHAINS, "inferer", "inference", "writer", "writers"})

_INSTEAD = "give the config_validation.json or config_aiaa.json of the model"

_TYPES = {
    "classification": ("is for a model that classifies images", "use a model whose output is a label per voxel"),
    "deepgrow": (
        "is for a model that needs points that a user sets in a viewer",
        "use a model that segments without points",
    ),
    "pipeline": ("calls other models of an annotation server", "give the configuration of one of these models"),
}
"""Values of the annotation server's key `type` whose models make no label map, or not by themselves."""

_CLASSIFICATION = ("WriteClassificationResult", "ClassificationResultWriter", "ProcessMulticlassPreds")
_CLARA_4 = ("CLARA_TRAIN_VERSION", "evaluator", "dataloader")
"""Keys of Clara Train 4, whose components are those of MONAI and Ignite."""

_SERVER_4 = ("TRITON", "AIAA")
"""Keys of the section `inference` of its annotation server."""


def refuse_training(document: dict[str, JsonValue], place: Place) -> None:
    """Raise ConfigError for a training configuration and for that of an AutoML controller."""
    if OWN_KEYS & document.keys():
        return
    train = document.get("train")
    if isinstance(train, dict) and not {"inferer", "inference"} & train.keys():
        kind = "a training configuration of Clara Train"
        if "search" in document:
            kind += " for AutoML"
    elif {"controller", "executor"} <= document.keys():
        kind = "the configuration of an AutoML controller of Clara Train"
    else:
        return
    raise place.error(f"is {kind}, expected one for inference", _INSTEAD)


def refuse_other_purposes(document: dict[str, JsonValue], place: Place) -> None:
    """Raise ConfigError for AutoML, classification, points of users, several models, and Clara Train 4."""
    for where in _search_keys(document, place):
        raise where.error(
            "belongs to AutoML, which trains a model for each of these values, expected one value of each argument",
            'leave the key "search" out, and write the values of the best model',
        )
    kind = document.get("type")
    if isinstance(kind, str) and kind.lower() in _TYPES:
        raise _no_segmentation(place / "type", f'"{kind}"', kind.lower())
    entries = list(_components(document, place))
    for where, entry in entries:
        name = str(entry.get("name", ""))
        if "path" not in entry and name in _CLASSIFICATION:
            raise _no_segmentation(where / "name", name, "classification")
    markers = [key for key in _CLARA_4 if key in document]
    if isinstance(section := document.get("inference"), dict):
        markers += [f"inference.{key}" for key in _SERVER_4 if key in section]
    if markers and (not document.keys() & set(CHAINS) or any(_is_monai(entry) for _, entry in entries)):
        raise place.error(
            f"is a configuration of Clara Train 4 (it has {', '.join(markers)}), whose components are MONAI's, "
            "expected a config_inference.json",
            "docs/from-monai-deploy.md shows a translation",
        )


def _no_segmentation(where: Place, subject: str, kind: str) -> ConfigError:
    reason, remedy = _TYPES[kind]
    return where.error(f"{subject} {reason}, expected segmentation", remedy)


def _is_monai(entry: dict[str, JsonValue]) -> bool:
    """Whether a component has MONAI's argument `keys`, for which Clara Train has `fields`."""
    args = entry.get("args")
    return isinstance(args, dict) and "keys" in args and "path" not in entry


def _search_keys(document: dict[str, JsonValue], place: Place) -> Iterator[Place]:
    """Places of the keys `search`: at the top, and in components."""
    if "search" in document:
        yield place / "search"
    for where, entry in _components(document, place):
        if "search" in entry:
            yield where / "search"


def _components(document: dict[str, JsonValue], place: Place) -> Iterator[tuple[Place, dict[str, JsonValue]]]:
    """The entries of the chains and the writers, without disabled ones."""
    for key in (*CHAINS, "writers", "writer"):
        value = document.get(key)
        listed = [(place / key / n, entry) for n, entry in enumerate(value)] if isinstance(value, list) else []
        for where, entry in [*listed, (place / key, value)]:
            if isinstance(entry, dict) and str(entry.get("disabled", False)).lower() != "true":
                yield where, entry
