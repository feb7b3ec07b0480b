"""Load a config_inference.json as a `Config`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import JsonValue

from gpu_infer.config.annotation_server import annotation_inferer, channel_order
from gpu_infer.config.components import Components
from gpu_infer.config.config import Config
from gpu_infer.config.contradictions import check_batch, check_scanning, unused_names
from gpu_infer.config.document import read_document
from gpu_infer.config.exported import choose_model
from gpu_infer.config.flattened import merge_copies
from gpu_infer.config.foreign import IMPORTERS, foreign_format
from gpu_infer.config.inferer import InfererSpec
from gpu_infer.config.labels import KEY, name_union, read_labels
from gpu_infer.config.location import Place
from gpu_infer.config.outputs import read_outputs
from gpu_infer.config.own_inferer import check_returns, read_inferer
from gpu_infer.config.purpose import refuse_other_purposes
from gpu_infer.config.series import read_series_rules
from gpu_infer.errors import ConfigError
from gpu_infer.inferers.base import Inferer
from gpu_infer.redaction import redact
from gpu_infer.transforms.base import Load, Transform
from gpu_infer.transforms.chain.checks import check

log = logging.getLogger(__name__)

_KNOWN = frozenset(
    {
        "batch_size",
        "pre_transforms",
        "post_transforms",
        "writers",
        "writer",
        "inferer",
        "inference",
        "model_loader",
        "labels",
        "series",
    }
)
T = TypeVar("T")


def load_config(path: Path, environ: Mapping[str, str], labels: Path | None = None, model: str | None = None) -> Config:
    """Read a configuration, replace its variables from `environ`, build its components and check them.

    `labels` is a file with the names of the labels; without it, those of the configuration count (`read_labels`).
    `model` chooses the configuration of one model in a file with several (`choose_model`).

    Raises ConfigError: one line that names the file, the key, what was found and what was expected. It contains the
    names of environment variables instead of their values.
    """
    try:
        return _load(path, environ, labels, model)
    except ConfigError as error:
        raise ConfigError(redact(error.message), remedy=error.remedy and redact(error.remedy)) from error.__cause__


def _load(path: Path, environ: Mapping[str, str], labels: Path | None, model: str | None) -> Config:
    document, place, exported = choose_model(read_document(path), Place(str(path)), model)
    document = merge_copies(document, place)
    if (kind := foreign_format(document)) is not None:
        raise place.error(f"looks like {kind}, expected a config_inference.json", IMPORTERS[kind])
    refuse_other_purposes(document, place)
    extra = {key: value for key, value in document.items() if key not in _KNOWN}
    for key in extra:
        log.info("%s: the key %r has no effect in inference", place.file, key)
    warnings = check_batch(document, place)
    components = Components(environ, own_folders(path))
    pre = components.transforms(_required(document, "pre_transforms", place), place / "pre_transforms")
    post = components.transforms(_required(document, "post_transforms", place), place / "post_transforms")
    if "inference" in document and (field := _input_field(pre)) is not None:
        pre = channel_order(document["inference"], place / "inference", environ, pre, field)
    names = _checked(place, lambda: check(pre, post))
    inferer, own_inferer = _inferer(document, place, components, pre, exported)
    warnings += check_scanning(document, place, inferer)
    outputs, own_writers, of_outputs = read_outputs(document, place, components, names)
    warnings += of_outputs
    if labels is None and (unused := unused_names(document, place, outputs, names.result)):
        document = {key: value for key, value in document.items() if key != KEY}
        warnings += unused
    table = name_union(
        read_labels(path, document, labels, place), inferer.entries, place / "inferer" / "args" / "models"
    )
    series = read_series_rules(document, place)
    config = Config(
        path,
        pre,
        post,
        inferer,
        outputs,
        extra,
        document.get("model_loader"),
        warnings,
        table,
        series,
        own_inferer,
        own_writers,
    )
    check_returns(own_inferer, _checked(place, config.pipeline), place)
    return config


def _required(document: dict[str, JsonValue], key: str, place: Place) -> JsonValue:
    if key not in document:
        raise (place / key).error("is missing", "list the components, or [] for none")
    return document[key]


def _checked(place: Place, make: Callable[[], T]) -> T:
    """Call `make`, which checks that the chains work together for any volume; put the file's name into its errors."""
    try:
        return make()
    except ConfigError as error:
        prefix = "" if error.message.startswith(place.file) else f"{place.file}: "
        raise ConfigError(prefix + error.message, remedy=error.remedy) from error.__cause__


def own_folders(path: Path) -> tuple[Path, ...]:
    """Folders with custom components of the configuration `path`: its own, the parent of that, and those of the name
    "transforms" in them."""
    folder = path.absolute().parent
    folders = tuple(dict.fromkeys((folder, folder.parent)))
    return *folders, *(each / "transforms" for each in folders)


def _input_field(pre: tuple[Transform, ...]) -> str | None:
    """The first field that is loaded, None without any: `check` refuses that."""
    return next((field for t in pre if isinstance(t, Load) for field in t.fields), None)


def _inferer(
    document: dict[str, JsonValue],
    place: Place,
    components: Components,
    pre: tuple[Transform, ...],
    exported: str | None,
) -> tuple[InfererSpec, Inferer | None]:
    if "inferer" in document and "inference" in document:
        raise place.error('"inferer" and "inference" exclude each other', "keep one")
    if "inference" in document:
        field, environ = _input_field(pre) or "", components.environ
        return annotation_inferer(document["inference"], place / "inference", environ, field, exported), None
    example = '{"name": "TRTISScanWindowInferer", "args": {"model_name": …}}'
    if "inferer" not in document:
        raise (place / "inferer").error("is missing", example)
    component = components.parse(document["inferer"], place / "inferer")
    if component is None:
        raise (place / "inferer").error("is disabled", "a run needs one")
    return read_inferer(component)
