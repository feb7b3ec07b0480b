"""Read the files of a bundle: JSON, or YAML with the package pyyaml."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gpu_infer.errors import ConfigError

SUFFIXES = (".json", ".yaml", ".yml")
_MERGE = "+"
_NESTED = re.compile("::|#")
"""Separates the names of a part."""
_MOST = 500_000
_ANOTHER = "give the folder of a bundle, which has configs/inference.json and configs/metadata.json"


def inference_files(bundle: Path, given: Sequence[Path]) -> list[Path]:
    """The configuration files: those that are given, as they are or inside the bundle, or configs/inference.json."""
    if not bundle.is_dir():
        raise ConfigError(f"{bundle} is not a folder", remedy=f"unpack an archive first; {_ANOTHER}")
    if not given:
        names = [bundle / "configs" / f"inference{suffix}" for suffix in SUFFIXES]
        path = next((name for name in names if name.is_file()), None)
        if path is None:
            raise ConfigError(f"{names[0]}: there is no such file", remedy=f"give --config FILE, or {_ANOTHER}")
        return [path]
    return [path if path.is_file() else bundle / path for path in given]


def merged(paths: Sequence[Path]) -> dict[str, Any]:
    """The keys of the files; a key of a later one replaces that of earlier ones.

    With a + before it, lists are joined and the keys of objects added. A key such as `inferer::overlap`, or with #,
    names a part of an earlier one.
    """
    document: dict[str, Any] = {}
    for path in paths:
        for key, value in read_document(path).items():
            if not isinstance(key, str):
                raise ConfigError(f"{path}: {key!r}: expected a text as key", remedy="put it in quotes")
            _merge(document, path, key, value)
    return document


def _merge(document: dict[str, Any], path: Path, key: str, value: Any) -> None:
    name = key.removeprefix(_MERGE)
    *parents, last = _NESTED.split(name)
    node: Any = document
    for parent in parents:
        node = _part(node, parent)
    old = _part(node, last)
    if not isinstance(node, (dict, list)) or (isinstance(node, list) and old is None):
        raise ConfigError(f"{path}: {key}: there is no such part in what comes before", remedy="correct the bundle")
    if name != key and old is not None:
        if isinstance(value, dict) and isinstance(old, dict):
            value = old | value
        elif isinstance(value, list) and isinstance(old, list):
            value = old + value
        else:
            raise ConfigError(
                f"{path}: {key}: expected a list or an object, as {name} of the file before it is one",
                remedy="correct the bundle",
            )
    if isinstance(node, list):
        node[int(last)] = value
    else:
        node[last] = value


def _part(node: Any, key: str) -> Any:
    if isinstance(node, list):
        return node[int(key)] if key.isdecimal() and int(key) < len(node) else None
    return node.get(key) if isinstance(node, dict) else None


def read_inside(bundle: Path, name: str) -> dict[str, Any]:
    """The object in a file that a macro names, relative to the bundle's folder; ConfigError for one outside it."""
    path = bundle / name
    if not path.resolve().is_relative_to(bundle.resolve()):
        raise ConfigError(f"%{name}: expected a file inside {bundle}", remedy="copy the file into the bundle")
    return read_document(path)


def read_document(path: Path) -> dict[str, Any]:
    """The object in a JSON or YAML file."""
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"{path}: expected a file *{', *'.join(SUFFIXES)}", remedy="give another file")
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if path.suffix.lower() == ".json" else _yaml(text, path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}", remedy=_ANOTHER) from error
    except (ValueError, RecursionError) as error:  # bytes that are no UTF-8 among them
        words = " ".join(str(error).split())[:200]
        raise ConfigError(f"{path}: cannot be parsed: {words}", remedy="copy the file again") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected an object, found {type(content).__name__}", remedy="copy the file again")
    return content


def _yaml(text: str, path: Path) -> Any:
    try:
        import yaml  # type: ignore[import-untyped]
    except ImportError as error:
        raise ConfigError(
            f"{path}: reading YAML needs the package pyyaml", remedy="pip install 'gpu-infer[bundles]'"
        ) from error
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
    if _size(content, {}) > _MOST:
        raise ValueError(f"aliases make more than {_MOST} values of it")
    return content


def _size(node: Any, sizes: dict[int, float]) -> float:
    """How many values a node has if aliases are written out; infinity for one that contains itself."""
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    if id(node) not in sizes:
        sizes[id(node)] = math.inf
        sizes[id(node)] = 1 + sum(_size(child, sizes) for child in children)
    return sizes[id(node)]
