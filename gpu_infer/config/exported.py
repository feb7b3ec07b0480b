"""The file that an annotation server exports: one key per model, whose value is the configuration of that model."""

from __future__ import annotations

import logging

from pydantic import JsonValue

from gpu_infer.config.location import Place, nearest
from gpu_infer.config.purpose import CHAINS, OWN_KEYS, refuse_training

log = logging.getLogger(__name__)


def choose_model(
    document: dict[str, JsonValue], place: Place, model: str | None
) -> tuple[dict[str, JsonValue], Place, str | None]:
    """The configuration of one model, its place, and its key; the document itself and None if it has no such keys.

    A file with one model needs no choice, so that `model` can be another name of it on the server. Among several
    models `model` chooses. Raises ConfigError if `model` is None or unknown then.
    """
    refuse_training(document, place)
    models = _models(document)
    if not models:
        return document, place, None
    if len(models) == 1:
        key = next(iter(models))
    elif model is None:
        raise place.error(f"has configurations of {len(models)} models: {', '.join(models)}", "choose one with --model")
    elif model in models:
        key = model
    else:
        raise place.error(
            f'has no model "{model}"{nearest(model, models)}', f"--model chooses one of {', '.join(models)}"
        )
    for other in document.keys() - models.keys():
        log.info("%s: the key %r has no effect in inference", place.file, other)
    log.info("%s: the configuration of the model %r is used", place.file, key)
    return models[key], place / key, key


def _models(document: dict[str, JsonValue]) -> dict[str, dict[str, JsonValue]]:
    """The configurations by the names of their models; empty if the document is a configuration itself."""
    if OWN_KEYS & document.keys():
        return {}
    return {
        key: value
        for key, value in document.items()
        if isinstance(value, dict) and any(isinstance(value.get(chain), list) for chain in CHAINS)
    }
