"""How much of the log a run shows on the console. The log file has all of it."""

from __future__ import annotations

import logging
import sys

from gpu_infer.errors import ConfigError


def console_level(*, verbose: bool, quiet: bool) -> int:
    """The lowest level that the console shows: errors, warnings or everything.

    Without an option, a terminal shows warnings and notices, and a pipe or a file gets everything. Raises ConfigError
    for both options at once.
    """
    if verbose and quiet:
        raise ConfigError("--quiet contradicts --verbose", remedy="leave one of the two out")
    if quiet:
        return logging.ERROR
    return logging.NOTSET if verbose or not sys.stderr.isatty() else logging.WARNING
