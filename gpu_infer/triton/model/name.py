"""Checks of a model's name and version, the same for both protocols.

A name is one folder in the server's repository and one part of a URL's path: over HTTP, `slow/versions/1` would be
read as version 1 of the model `slow`.
"""

from __future__ import annotations

import re

from gpu_infer.errors import ConfigError

NAME_LIMIT = 255  # bytes of a folder's name
_VERSION = re.compile(r"[1-9][0-9]{0,17}")


def check_model_name(name: str, version: str = "") -> None:
    """Raise ConfigError unless `name` is one folder's name and `version` a positive number or empty (the latest)."""
    if not name:
        raise ConfigError("no model name given", remedy="set inferer.args.model_name, or pass --model")
    fault = _fault(name)
    if fault is not None:
        raise ConfigError(
            f"model name {_quote(name)} {fault}, expected the name of one folder in the server's repository",
            remedy=f"gpu-infer models add NAME --onnx {name} adds the file to a repository under a name"
            if name.endswith(".onnx") and name.isprintable()
            else "correct inferer.args.model_name (--model); a version stands in inferer.args.model_version",
        )
    if version and not _VERSION.fullmatch(version):
        raise ConfigError(
            f"model {name}: version {_quote(version)} is not a version, expected a number from 1 on",
            remedy="correct inferer.args.model_version, or leave it out for the latest",
        )


def _fault(name: str) -> str | None:
    if "/" in name or "\\" in name:
        return "contains a path"
    if name in (".", ".."):
        return "is a path"
    if not name.isprintable() or name != name.strip():
        return "has blanks at its ends or characters that cannot be printed"
    if len(name.encode()) > NAME_LIMIT:
        return f"has {len(name.encode())} bytes, more than {NAME_LIMIT}"
    return None


def _quote(text: str) -> str:
    return ascii(text if len(text) <= 80 else text[:79] + "…")
