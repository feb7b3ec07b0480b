"""Values of single environment variables: text, switches, the debugger's port."""

from __future__ import annotations

import re
from collections.abc import Mapping

from gpu_infer.errors import ConfigError

DEFAULT_DEBUG_PORT = 5678

DEFAULT_DEBUG_HOST = "127.0.0.1"
"""Anybody who reaches a debugger's port can run code as this user, so only this machine can by default."""

DEBUG_VARIABLES = {"debug_port": "DEBUG_VSCODE_PORT", "debug_host": "DEBUG_VSCODE_HOST"}
"""Environment variables of the debugger, by field of `Settings`."""


def environment_value(environ: Mapping[str, str], name: str) -> str | None:
    """The value without blanks at its ends; None if the variable is unset or empty."""
    return environ.get(name, "").strip() or None


def environment_flag(environ: Mapping[str, str], name: str, *, remedy: str) -> bool:
    """Whether a variable is switched on; unset and empty: off. Raises ConfigError for any other word than a switch."""
    switch = (environment_value(environ, name) or "false").lower()
    if switch not in ("0", "false", "no", "off", "1", "true", "yes", "on"):
        raise ConfigError(f"{name}: found {environ[name]!r}, expected TRUE, 1, FALSE or 0", remedy=remedy)
    return switch in ("1", "true", "yes", "on")


def debug_port(environ: Mapping[str, str]) -> int | None:
    """The port on which to wait for a debugger, None: do not wait. Raises ConfigError."""
    # The port runs code, so no other word opens it.
    if not environment_flag(environ, "DEBUG_VSCODE", remedy="leave it unset to run without a debugger"):
        return None
    text = environment_value(environ, "DEBUG_VSCODE_PORT") or str(DEFAULT_DEBUG_PORT)
    if not re.fullmatch("[0-9]{1,5}", text) or not 0 < int(text) < 65536:
        raise ConfigError(
            f"DEBUG_VSCODE_PORT: found {text!r}, expected a port number",
            remedy=f"the usual one is {DEFAULT_DEBUG_PORT}",
        )
    return int(text)
