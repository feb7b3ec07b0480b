"""Values of single environment variables: text, switches, the debugger's port, settings of Numba."""

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


_LAYERS = ("default", "forksafe", "omp", "safe", "tbb", "threadsafe", "workqueue")


def check_compiler(environ: Mapping[str, str]) -> None:
    """Raise ConfigError for settings of Numba with which no kernel can run; Numba's own errors would come later."""
    if (text := environment_value(environ, "NUMBA_DISABLE_JIT")) is not None and text != "0":
        raise ConfigError(
            f"NUMBA_DISABLE_JIT: found {text!r}, expected 0: kernels are not compiled, and none runs without",
            remedy="leave it unset",
        )
    layer = environment_value(environ, "NUMBA_THREADING_LAYER")
    if layer is not None and layer not in _LAYERS:
        raise ConfigError(
            f"NUMBA_THREADING_LAYER: found {layer!r}, expected one of {', '.join(_LAYERS)}", remedy="leave it unset"
        )


def check_threads(environ: Mapping[str, str]) -> None:
    """Raise ConfigError for a number of threads that Numba refuses when it is imported."""
    text = environment_value(environ, "NUMBA_NUM_THREADS")
    if text is not None and not re.fullmatch("0*[1-9][0-9]{0,4}", text):
        raise ConfigError(
            f"NUMBA_NUM_THREADS: found {text!r}, expected a whole number from 1 to 99999",
            remedy="leave it unset to use every CPU",
        )


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
