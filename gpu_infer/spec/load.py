"""`load_config`: from a config_inference.json to a `Config`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gpu_infer.errors import ConfigError
from gpu_infer.transforms.base import Load, Transform
from gpu_infer.transforms.plan import Pipeline

from .annotation import annotation_inferer
from .components import Components
from .config import Config
from .document import read_document
from .environment import expand
from .inferer import InfererSpec, inferer_spec
from .place import Place, shown

_log = logging.getLogger(__name__)

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
    }
)
OUTPUT_DTYPES = ("uint8", "uint16", "uint32", "int8", "int16", "int32")
DEFAULT_OUTPUT_DTYPE = "uint8"


def load_config(path: Path, environ: Mapping[str, str]) -> Config:
    """Read, expand from `environ`, build and check a configuration.

    Raises ConfigError: one line that names the file, the key, what was found and what was expected.
    """
    place = Place(path.name)
    document = read_document(path)
    extra = {key: value for key, value in document.items() if key not in _KNOWN}
    for key in extra:
        _log.info("%s: the key %r has no effect in inference", place.file, key)
    if "batch_size" in document and document["batch_size"] != 1:
        raise (place / "batch_size").error(
            f"expected 1, one volume per run, found {shown(document['batch_size'])}",
            "windows per request are inferer.args.batch_size",
        )
    components = Components(environ)
    pre = components.transforms(_required(document, "pre_transforms", place), place / "pre_transforms")
    post = components.transforms(_required(document, "post_transforms", place), place / "post_transforms")
    pipeline = _check(pre, post, place)
    inferer = _inferer(document, place, components, pre)
    dtype, warnings = _output(document, place, environ, pipeline.result_field)
    return Config(path, pre, post, inferer, dtype, extra, document.get("model_loader"), tuple(warnings))


def _required(document: dict[str, Any], key: str, place: Place) -> Any:
    if key not in document:
        raise (place / key).error("is missing", "list the components, or [] for none")
    return document[key]


def _check(pre: tuple[Transform, ...], post: tuple[Transform, ...], place: Place) -> Pipeline:
    """The chains must work together, whatever the volume."""
    try:
        return Pipeline(pre, post)
    except ConfigError as error:
        prefix = "" if error.message.startswith(place.file) else f"{place.file}: "
        raise ConfigError(prefix + error.message, remedy=error.remedy) from None


def _inferer(document: dict[str, Any], place: Place, components: Components, pre: tuple[Transform, ...]) -> InfererSpec:
    if "inferer" in document and "inference" in document:
        raise place.error('"inferer" and "inference" exclude each other', "keep one")
    if "inference" in document:
        field = next(f for t in pre if isinstance(t, Load) for f in t.fields)
        return annotation_inferer(document["inference"], place / "inference", components.environ, field)
    example = '{"name": "TRTISScanWindowInferer", "args": {"model_name": …}}'
    if "inferer" not in document:
        raise (place / "inferer").error("is missing", example)
    component = components.parse(document["inferer"], place / "inferer")
    if component is None:
        raise (place / "inferer").error("is disabled", "a run needs one")
    return inferer_spec(component)


def _output(
    document: dict[str, Any], place: Place, environ: Mapping[str, str], result: str
) -> tuple[np.dtype[Any], list[str]]:
    """dtype of the written labels: `writers[0].args.dtype`, all that a writer decides; and warnings."""
    if "writers" in document and "writer" in document:
        raise place.error('"writers" and "writer" exclude each other', "keep one")
    if "writer" in document:
        where, writers = place / "writer", [document["writer"]]
    else:
        where, writers = place / "writers" / 0, document.get("writers", [])
        if not isinstance(writers, list):
            raise (place / "writers").expected("a list of components", writers)
    args: dict[str, Any] = {}
    if writers:
        args = (where / "args").mapping(where.mapping(writers[0]).get("args"))
    for key in args.keys() - {"dtype", "field"}:
        _log.info("%s: %s.args.%s has no effect: the writer is always MetaImage", place.file, where.path, key)
    field = expand(args.get("field", result), environ, where / "args" / "field")
    if field != result:
        raise (where / "args" / "field").error(f'writes "{field}", but the result is in "{result}"', "use one name")
    if "dtype" not in args:
        return np.dtype(DEFAULT_OUTPUT_DTYPE), [
            f"{place.file}: {where.path}.args.dtype is missing: labels are written as {DEFAULT_OUTPUT_DTYPE}"
        ]
    dtype = expand(args["dtype"], environ, where / "args" / "dtype")
    if not isinstance(dtype, str) or dtype not in OUTPUT_DTYPES:
        raise (where / "args" / "dtype").expected(f"one of {', '.join(OUTPUT_DTYPES)}", dtype)
    return np.dtype(dtype), []
