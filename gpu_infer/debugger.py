"""Waits for a debugger before a run, as DEBUG_VSCODE asks."""

from __future__ import annotations

import logging

log = logging.getLogger(__name__)


def wait_for_debugger(port: int) -> bool:
    """Listen on TCP `port` of every address (a container's port is reached from outside) until one attaches.

    Returns False, with a warning, where debugpy is not installed or the port cannot be had: a run does not
    fail for want of a debugger.
    """
    try:
        import debugpy
    except ImportError:
        log.warning("DEBUG_VSCODE is set but debugpy is not installed: running without it (pip install debugpy)")
        return False
    try:
        debugpy.listen(("0.0.0.0", port))
    except (OSError, RuntimeError) as error:
        log.warning("DEBUG_VSCODE: cannot listen on port %d (%s): running without a debugger", port, error)
        return False
    log.info("waiting for a debugger on port %d", port)
    debugpy.wait_for_client()
    return True
